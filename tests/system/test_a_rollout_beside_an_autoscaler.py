"""Releases while the cluster's own autoscaler acts: never too few, and one owner of the number.

Every change of every Deployment is looked at, as a watch tells it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.gates import EvaluateGate
from shared.surfaces.aks.kinds import AUTOSCALERS
from shared.surfaces.aks.names import MANAGER, revision_name
from shared.surfaces.scaling import Measure, ReplicasOwner, ScalingRules, UtilizationRule
from tests.kit.event_table import TABLE
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.pod_measures import measured
from tests.system.cluster_releases import ClusterReleases, cluster_releases
from tests.system.watched_cluster import State, Watched, until

__all__ = ["kubernetes_cluster", "pod_cluster"]

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.xdist_group("whole-cluster")]

MINIMUM: Final = 2
MAXIMUM: Final = 4
RULES: Final = ScalingRules(MINIMUM, MAXIMUM, (UtilizationRule(Measure.CPU, 50),), cooldown_s=0)
BUSY, IDLE = 90, 5


@dataclass
class Scene:
    """Releases beside an autoscaler, and what it is made to see."""

    releases: ClusterReleases
    watched: Watched
    millicores: int = BUSY

    def states(self, revision: int) -> list[State]:
        return self.watched.history[revision_name(self.releases.component, revision)]

    async def scale_by_rules(self, revision: int) -> None:
        """As the scaling service does; return when the autoscaler has acted."""
        self.millicores = BUSY
        await self.releases.surface.set_scaling(
            self.releases.component, revision, RULES, await self.releases.fence(f"of {revision}")
        )
        await self.until_replicas(revision, MAXIMUM)

    async def until_replicas(self, revision: int, count: int) -> None:
        await until(lambda: self.states(revision)[-1].replicas == count)

    async def has_autoscaler(self, revision: int) -> bool:
        name = revision_name(self.releases.component, revision)
        found = await self.releases.harness.api.get(AUTOSCALERS, name, self.releases.namespace)
        return found is not None


async def rolled_out(scene: Scene) -> None:
    """A release goes through while the autoscaler takes instances away and brings them back."""
    weights = []

    async def at_gate(gate: EvaluateGate) -> None:
        weights.append(gate.weight)
        match gate.weight:
            case 10:
                scene.millicores = IDLE
                await scene.until_replicas(1, MINIMUM)
            case 50:
                scene.millicores = BUSY
                await scene.until_replicas(1, MAXIMUM)
            case _:
                await scene.scale_by_rules(2)

    scene.releases.world.at_gate = at_gate
    second = await scene.releases.deploy("2", replicas=MINIMUM, resources={"cpu": 0.1})
    assert second.status == "Completed", second.reason
    assert weights == [10, 50, 100]
    assert (await scene.releases.live()).weights == {2: 100}


async def turned_back(scene: Scene) -> None:
    """A bad one goes back to a release whose number the autoscaler has just changed."""

    async def at_gate(_gate: EvaluateGate) -> None:
        scene.millicores = IDLE
        await scene.until_replicas(2, MINIMUM)
        scene.millicores = BUSY
        await scene.until_replicas(2, MAXIMUM)

    scene.releases.world.at_gate = at_gate
    scene.releases.world.health.bad.add(scene.releases.pods.digest)
    third = await scene.releases.deploy("3", replicas=MINIMUM, resources={"cpu": 0.1})
    assert third.status == "RolledBack", third.reason
    live = await scene.releases.live()
    assert live.weights == {2: 100}
    assert live.revision(2).replicas_owner is ReplicasOwner.SURFACE
    assert await scene.has_autoscaler(2)


async def played(pods: PodCluster, folder: Path) -> Mapping[str, list[State]]:
    async with cluster_releases(pods) as releases:
        watched = Watched(releases.harness.api, releases.harness.installation.labels)
        scene = Scene(releases, watched)
        async with (
            watched.following(),
            measured(
                releases.harness.api,
                releases.namespace,
                folder,
                lambda: list(watched.pods.values()),
                lambda: scene.millicores,
            ),
        ):
            first = await releases.deploy("1", replicas=MINIMUM, resources={"cpu": 0.1})
            assert first.status == "Completed", first.reason
            await scene.scale_by_rules(1)
            await rolled_out(scene)
            await turned_back(scene)
            return {f"revision {number}": scene.states(number) for number in (1, 2, 3)}


@pytest.fixture(scope="module")
def history(
    pod_cluster: PodCluster, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[State]]:
    return asyncio.run(played(pod_cluster, tmp_path_factory.mktemp("measures")))


def test_the_number_is_never_below_the_declared_minimum(
    history: Mapping[str, list[State]],
) -> None:
    assert {name: min(each.replicas for each in seen) for name, seen in history.items()} == (
        dict.fromkeys(history, MINIMUM)
    )


def test_what_has_come_up_never_has_fewer_instances_than_that(
    history: Mapping[str, list[State]],
) -> None:
    for seen in history.values():
        available = [each.available for each in seen]
        first = next(at for at, count in enumerate(available) if count >= MINIMUM)
        assert min(available[first:]) >= MINIMUM


def test_nobody_writes_the_number_but_its_one_owner(history: Mapping[str, list[State]]) -> None:
    for seen in history.values():
        for each in seen:
            is_ours = each.owner is ReplicasOwner.PLATFORM
            assert len(each.managers) <= 1, each
            assert (MANAGER in each.managers) == is_ours, each


def test_the_autoscaler_has_acted_on_both(
    history: Mapping[str, list[State]], record_property: Callable[[str, object], None]
) -> None:
    record_property(TABLE, table(history))

    for name in ("revision 1", "revision 2"):
        by_rules = [each.replicas for each in history[name] if each.owner is ReplicasOwner.SURFACE]
        bounds = [number for number in by_rules if number in {MINIMUM, MAXIMUM}]
        ups_and_downs = [number for number, _ in groupby(bounds)]
        assert ups_and_downs == [MINIMUM, MAXIMUM, MINIMUM, MAXIMUM], name


def table(history: Mapping[str, list[State]]) -> str:
    lines = [f"{'deployment':<12}{'changes':>8}{'fewest':>8}{'most':>6}  replicas, by their owner"]
    for name, seen in history.items():
        numbers = [each.replicas for each in seen]
        steps = (f"{replicas} {owner}" for (replicas, owner), _ in groupby(map(written, seen)))
        lines.append(
            f"{name:<12}{len(seen):>8}{min(numbers):>8}{max(numbers):>6}  {', '.join(steps)}"
        )
    return "\n".join(lines)


def written(state: State) -> tuple[int, str]:
    return state.replicas, state.owner.value
