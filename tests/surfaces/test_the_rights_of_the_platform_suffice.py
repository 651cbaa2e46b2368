"""Each right that ships is used on a real cluster, by a client that has no others."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import pytest

from shared.kernel.ids import TenantId
from shared.kernel.observation import Present
from shared.surfaces.aks.permissions import PERMISSIONS
from shared.surfaces.boundaries import BoundarySpec, Quota
from shared.surfaces.port import Boundaries, NativeScaling, Restarts
from shared.surfaces.scaling import EventRule, Measure, ScalingRules, UtilizationRule
from shared.surfaces.spec import Resources
from tests.kit.kubernetes_rights import Right, record_rights
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence
from tests.surfaces.test_secrets_on_a_cluster import give_identity, with_secrets

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
GLOBEX: Final = TenantId("globex")
ELSEWHERE: Final[frozenset[Right]] = frozenset(
    {
        ("metrics.k8s.io", "pods", "list"),
        ("", "configmaps", "patch"),
        ("", "configmaps", "delete"),
        ("", "nodes", "get"),
        ("secrets-store.csi.x-k8s.io", "secretproviderclasspodstatuses", "get"),
    }
)
"""Used by the tests of metrics, of the way to a cluster, of an image with two digests, and of
secrets, which no driver mounts here."""


async def live_through(harness: SurfaceHarness) -> None:
    """Do each thing that the platform does with a component, and with a tenant."""
    boundaries, scaling = (
        cast("Boundaries", harness.surface),
        cast("NativeScaling", harness.surface),
    )
    await harness.surface.ensure_site(SITE, fence(1, "site"))
    bounded = BoundarySpec(
        ENVIRONMENT,
        GLOBEX,
        Quota(instances=5, cpu=2),
        Resources(cpu=0.1),
        "client",
        ("10.1.0.0/16",),
    )
    await boundaries.ensure_boundary(bounded, fence(1))
    await boundaries.ensure_boundary(BoundarySpec(ENVIRONMENT, GLOBEX), fence(1))
    by_cpu, by_queue = (
        UtilizationRule(Measure.CPU, 70),
        EventRule("azure-queue", {"queueName": "q"}),
    )
    for rules in (by_cpu, by_cpu, by_queue, by_queue, by_cpu, None):
        given = None if rules is None else ScalingRules(1, 3, (rules,))
        await scaling.set_scaling(SHOP, 2, given, fence(1))
    await cast("Restarts", harness.surface).restart(SHOP, 2, fence(1, "restart"))
    await harness.surface.apply(harness.spec(1, replicas=2), fence(1))
    await harness.surface.scale(SHOP, 1, 1, fence(1))
    live = await harness.until(lambda live: live.revisions[0].ready == 1)
    pod = next(each.id for each in live.revisions[0].instances if each.is_ready)
    for reading in (
        await harness.surface.inventory(ENVIRONMENT),
        await harness.surface.prove(SHOP, 1),
        await harness.surface.properties(SHOP),
        await harness.surface.logs(SHOP, pod, 10),
        await boundaries.read_boundary(ENVIRONMENT, GLOBEX),
    ):
        assert isinstance(reading, Present), reading
    await harness.surface.set_weights(SHOP, {}, fence(1))
    await give_identity(harness)
    for _ in range(2):
        await harness.surface.apply(with_secrets(harness, 3), fence(1))
    assert isinstance(await harness.surface.properties(SHOP), Present)
    for revision in (1, 2, 3):
        await harness.surface.remove(SHOP, revision, fence(1))
    await harness.until_gone()
    await boundaries.delete_boundary(ENVIRONMENT, GLOBEX, fence(1))
    await harness.surface.delete_site(ENVIRONMENT, fence(1))


@pytest.mark.shows(on="aks")
def test_each_right_is_used_and_no_other_is_needed(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        used: set[Right] = set()
        host = cast("AksHarness", harness).host
        record_rights(await host.connect(), used)
        two = harness.spec(2, resources=Resources(cpu=0.1))
        await harness.serve(harness.spec(1, replicas=2), two, weights={1: 50, 2: 50})
        harness.surface = await harness.restart_host()
        record_rights(await host.connect(), used)
        watched = await harness.surface.inventory(ENVIRONMENT)
        assert isinstance(watched, Present)

        await live_through(harness)

        rights = {right for each in PERMISSIONS for right in each.rights}
        assert sorted(rights - used - ELSEWHERE) == []
        assert used <= rights

    run_scenario(scenario)
