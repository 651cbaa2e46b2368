"""A rollout while the cluster's own autoscaler acts: never too few, and one owner of the number."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest

from shared.surfaces.aks.kinds import AUTOSCALERS, DEPLOYMENTS, PODS
from shared.surfaces.aks.names import REVISION, revision_name
from shared.surfaces.capabilities import Feature
from shared.surfaces.port import NativeScaling, Restarts
from shared.surfaces.scaling import Measure, ReplicasOwner, ScalingRules, UtilizationRule
from shared.surfaces.spec import Resources
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_measures import measured
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = [
    pytest.mark.shows(Feature.NATIVE_SCALING, on="aks"),
    pytest.mark.xdist_group("whole-cluster"),  # one API of the whole cluster
]
MINIMUM: Final = 2
RULES: Final = ScalingRules(MINIMUM, 4, (UtilizationRule(Measure.CPU, 50),), cooldown_s=0)
NAME: Final = revision_name(SHOP, 1)


@dataclass
class Seen:
    """What the Deployment was at each moment that was looked at."""

    replicas: list[int] = field(default_factory=list)
    available: list[int] = field(default_factory=list)
    owners: list[set[str]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    """Those of now."""
    is_over: bool = False

    async def follow(self, harness: AksHarness) -> None:
        """Look until it is over."""
        while not self.is_over:
            found = await harness.api.get(DEPLOYMENTS, NAME, harness.namespace)
            assert found is not None
            self.replicas.append(int(found["spec"]["replicas"]))
            self.available.append(int(found["status"].get("availableReplicas", 0)))
            self.owners.append(
                {
                    entry["manager"]
                    for entry in found["metadata"]["managedFields"]
                    if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
                }
            )
            self.pods, _ = await harness.api.list_all(
                PODS, {REVISION: "1"}, namespace=harness.namespace, keep=lambda each: each
            )
            await harness.clock.sleep(0.05)


async def until(holds: Callable[[], bool], harness: AksHarness) -> None:
    give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
    while not holds():
        assert harness.clock.monotonic_s() < give_up_at_s, "it never came"
        await harness.clock.sleep(0.05)


@pytest.mark.long
def test_a_rollout_never_has_too_few_while_the_autoscaler_acts(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        scaling = cast("NativeScaling", harness.surface)
        spec = harness.spec(
            1, replicas=MINIMUM, resources=Resources(cpu=0.1, memory_mb=64), drain_s=0.0
        )
        await harness.serve(spec, weights={1: 100})
        seen, load = Seen(), [90]
        looking = asyncio.create_task(seen.follow(cluster))
        try:
            async with measured(
                cluster.api, cluster.namespace, tmp_path, lambda: seen.pods, lambda: load[0]
            ):
                await scaling.set_scaling(SHOP, 1, RULES, fence(1))
                await until(lambda: seen.replicas[-1] == RULES.maximum, cluster)
                await cast("Restarts", harness.surface).restart(SHOP, 1, fence(1, "restart"))
                load[0] = 5
                await harness.surface.apply(spec, fence(1))
                await until(lambda: seen.replicas[-1] == MINIMUM, cluster)
                await scaling.set_scaling(SHOP, 1, None, fence(1))
                await harness.surface.apply(
                    harness.spec(1, replicas=3, resources=spec.resources, drain_s=0.0), fence(1)
                )
                await until(lambda: seen.available[-1] == 3, cluster)
        finally:
            seen.is_over = True
            await looking

        assert min(seen.replicas) >= MINIMUM
        assert min(seen.available) >= MINIMUM
        assert max(map(len, seen.owners)) <= 1
        live = await harness.until(lambda _: True)
        assert live.revisions[0].replicas_owner is ReplicasOwner.PLATFORM
        assert await cluster.api.get(AUTOSCALERS, NAME, cluster.namespace) is None

    run_scenario(scenario)
