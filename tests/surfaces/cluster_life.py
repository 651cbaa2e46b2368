"""The life of a component and of a tenant on a cluster: each thing that the platform does there.

It is for tests that must leave nothing out: of the rights of the platform each is used.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from shared.kernel.ids import TenantId
from shared.surfaces.boundaries import BoundarySpec, Quota
from shared.surfaces.configuration import configuration
from shared.surfaces.observed_state import Phase
from shared.surfaces.port import Boundaries, NativeScaling, Restarts, Schedules
from shared.surfaces.scaling import EventRule, Measure, ScalingRules, UtilizationRule
from shared.surfaces.spec import Resources, RevisionSpec, RunOnce, Schedule
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, fence
from tests.surfaces.test_secrets_on_a_cluster import give_identity, with_secrets

Step = Callable[[], Coroutine[Any, Any, None]]
GLOBEX: Final = TenantId("globex")
CONFIGURATION: Final = configuration("beef", variables={"LEVEL": "info"})
BOUNDED: Final = BoundarySpec(
    ENVIRONMENT, GLOBEX, Quota(instances=5, cpu=2), Resources(cpu=0.1), "client", ("10.1.0.0/16",)
)
BY_CPU: Final = UtilizationRule(Measure.CPU, 70)
BY_QUEUE: Final = EventRule("azure-queue", {"queueName": "q"})


def revisions_of(harness: AksHarness) -> tuple[RevisionSpec, RevisionSpec]:
    """Return two; the second has another reference to its image, so that its node is asked."""
    unit = {"configurationHash": CONFIGURATION.hash}
    return (
        harness.spec(1, replicas=2, configuration=CONFIGURATION, unit=unit),
        harness.spec(2, resources=Resources(cpu=0.1), artifact=harness.host.cluster.index),
    )


def beginning(harness: AksHarness, split: Mapping[int, int] | None = None) -> Iterator[Step]:
    """Yield the writes until both revisions have traffic, or as *split* says.

    Each is of one operation.
    """
    surface = harness.surface
    for spec in revisions_of(harness):
        yield lambda spec=spec: surface.apply(spec, fence(1))
    yield lambda: are_ready(harness)
    yield lambda: surface.set_weights(SHOP, split or {1: 50, 2: 50}, fence(1))


def rest(harness: AksHarness) -> Iterator[Step]:
    """Yield the writes after them, to the last."""
    surface, first = harness.surface, revisions_of(harness)[0]
    boundaries, scaling = cast("Boundaries", surface), cast("NativeScaling", surface)
    site = replace(SITE, facts={"region": "there"})
    for capacity in (Resources(cpu=64, memory_mb=65536), Resources()):
        limited = replace(site, capacity=capacity)
        yield lambda limited=limited: surface.ensure_site(limited, fence(1, "site"))
    for bounds in (BOUNDED, BoundarySpec(ENVIRONMENT, GLOBEX)):
        yield lambda bounds=bounds: boundaries.ensure_boundary(bounds, fence(1))
    for rule in (BY_CPU, BY_CPU, BY_QUEUE, BY_QUEUE, BY_CPU, None):
        rules = None if rule is None else ScalingRules(1, 3, (rule,))
        yield lambda rules=rules: scaling.set_scaling(SHOP, 2, rules, fence(1))
    yield lambda: cast("Restarts", surface).restart(SHOP, 2, fence(1, "restart"))
    yield lambda: surface.apply(first, fence(1))
    yield lambda: surface.scale(SHOP, 1, 1, fence(1))
    yield lambda: are_ready(harness)
    for weights in ({2: 100}, {}):
        yield lambda weights=weights: surface.set_weights(SHOP, weights, fence(1))
    job = harness.ending(harness.worker(4, runs_once=RunOnce(60)), 0)
    nightly = harness.worker(5, schedule=Schedule("0 0 29 2 *", 60))
    for spec in (job, job, nightly, nightly):
        yield lambda spec=spec: surface.apply(spec, fence(1))
    yield lambda: cast("Schedules", surface).activate_schedule(SHOP, 5, fence(1))
    yield lambda: give_identity(harness)
    for _ in range(2):
        yield lambda: surface.apply(with_secrets(harness, 3), fence(1))


def end(harness: AksHarness) -> Iterator[Step]:
    """Yield what leaves nothing."""
    surface = harness.surface
    for revision in (1, 2, 3, 4, 5):
        yield lambda revision=revision: surface.remove(SHOP, revision, fence(1))
    yield harness.until_gone
    boundaries = cast("Boundaries", surface)
    yield lambda: boundaries.delete_boundary(ENVIRONMENT, GLOBEX, fence(1))
    yield lambda: surface.delete_site(ENVIRONMENT, fence(1))


async def are_ready(harness: AksHarness) -> None:
    await harness.until(
        lambda live: (
            len(live.revisions) == 2 and all(each.phase is Phase.READY for each in live.revisions)
        )
    )
