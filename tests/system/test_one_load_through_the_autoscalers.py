"""The same load through Kubernetes' own autoscaler and through ours, by the same policy.

The cluster's controller sees measures of real pods, which share the load of the moment; ours
replays the load. Each stage of the load lasts until the number stays.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from function_apps.scaling.model.native_rules import native_rules
from function_apps.scaling.model.replay import Recorded, replay
from function_apps.scaling.model.sample import Load
from shared.contracts.scaling import ScalingDefaults, ScalingPolicyChange
from shared.contracts.values import Resources
from shared.kernel.clock import SystemClock
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import revision_name
from tests.kit.event_table import TABLE
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.pod_measures import measured
from tests.scaling.policies import policy
from tests.system.cluster_releases import ClusterReleases, cluster_releases
from tests.system.watched_cluster import Watched

__all__ = ["kubernetes_cluster", "pod_cluster"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.long(minutes=1),
    pytest.mark.xdist_group("whole-cluster"),
]

MINIMUM: Final = 2
MILLICORES: Final = 100
"""What each pod asks for."""
STABILISATION: Final = timedelta(seconds=4)
BY_CPU: Final = policy(
    {"signal": "cpu", "target": 50}, min=MINIMUM, max=6, stabilisation="PT4S", cooldown="PT0S"
)
LOADS: Final = (60, 140, 300, 220, 80, 260, 30)
"""Millicores of all pods together, stage by stage."""
SYNC_S: Final = 2
"""How often the controller of a local cluster looks."""
STAYS_FOR: Final = 5
"""So many looks without a change, and the stabilisation with them."""


@dataclass
class Scene:
    """A release whose pods share `load`."""

    releases: ClusterReleases
    watched: Watched
    load: float = LOADS[0]
    looks: int = 0

    @property
    def number(self) -> int:
        """As many instances as somebody wants now."""
        return self.watched.history[revision_name(self.releases.component, 1)][-1].replicas

    @property
    def available(self) -> int:
        return self.watched.history[revision_name(self.releases.component, 1)][-1].available

    def pods(self) -> Sequence[Object]:
        self.looks += 1
        return list(self.watched.pods.values())

    def share(self) -> int:
        """Return the millicores that each pod uses."""
        return round(self.load / max(1, self.available))

    async def settled_number(self, load: float) -> int:
        """Return the number that stays while the pods share *load*."""
        self.load, clock = load, SystemClock()
        give_up_at_s = clock.monotonic_s() + PATIENCE_S
        number, since = self.number, self.looks
        while self.looks - since < STAYS_FOR:
            assert clock.monotonic_s() < give_up_at_s, f"it is {self.number}, {self.available} up"
            await clock.sleep(0.1)
            if self.number != number or self.available != number:
                number, since = self.number, self.looks
        return number


@asynccontextmanager
async def scaled_by_the_cluster(
    pods: PodCluster, folder: Path, content: ScalingPolicyChange
) -> AsyncIterator[Scene]:
    """Yield the scene of a release that the cluster scales by *content*."""
    async with cluster_releases(pods) as releases:
        watched = Watched(releases.harness.api, releases.harness.installation.labels)
        scene = Scene(releases, watched)
        measures = measured(
            releases.harness.api, releases.namespace, folder, scene.pods, scene.share
        )
        async with watched.following(), measures:
            first = await releases.deploy("1", replicas=MINIMUM, resources={"cpu": 0.1})
            assert first.status == "Completed", first.reason
            await releases.surface.set_scaling(
                releases.component, 1, native_rules(content), await releases.fence("scaling")
            )
            yield scene


def replayed(content: ScalingPolicyChange, loads: Sequence[float]) -> Sequence[int]:
    """Return the number that stays in each stage by our own evaluation."""
    began, looks = datetime(2026, 11, 30, tzinfo=UTC), STAYS_FOR + 1
    stages = [load * 100 / MILLICORES for load in loads for _ in range(looks)]
    recorded = [
        Recorded(began + place * timedelta(seconds=SYNC_S), MINIMUM, {"cpu": Load(each, True)})
        for place, each in enumerate(stages)
    ]
    result = replay(content, recorded, Resources(cpu=0.1), ScalingDefaults(), may_be_none=False)
    return [step.desired for step in result.steps[looks - 1 :: looks]]


def test_both_take_the_same_numbers_within_one(
    pod_cluster: PodCluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def numbers() -> list[int]:
        async with scaled_by_the_cluster(pod_cluster, tmp_path, BY_CPU) as scene:
            return [await scene.settled_number(load) for load in LOADS]

    of_cluster, ours = asyncio.run(numbers()), replayed(BY_CPU, LOADS)

    rows = zip(LOADS, of_cluster, ours, strict=True)
    record_property(
        TABLE, "\n".join(f"{load:>5} m  cluster {a}  platform {b}" for load, a, b in rows)
    )
    assert max(abs(one - other) for one, other in zip(of_cluster, ours, strict=True)) <= 1
    assert len(set(of_cluster)) >= 4  # it has moved
