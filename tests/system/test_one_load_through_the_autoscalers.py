"""The same load through Kubernetes' own autoscaler and through ours, by the same policy.

The cluster's controller sees measures of real pods, which share the load of the moment; ours
replays the load. Each stage of the load lasts until the number stays.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from function_apps.scaling.model.native_rules import native_rules
from function_apps.scaling.model.replay import Recorded, replay
from function_apps.scaling.model.sample import Load
from shared.connections.loopback_ports import free_port
from shared.contracts.scaling import ScalingDefaults, ScalingPolicyChange
from shared.contracts.values import Resources
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.names import revision_name
from tests.kit.event_table import TABLE
from tests.kit.keda import keda
from tests.kit.kubernetes_cluster import kubernetes_cluster
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster, pod_cluster
from tests.kit.pod_measures import measured
from tests.kit.prometheus import scraping
from tests.scaling.policies import policy
from tests.system.cluster_releases import ClusterReleases, cluster_releases
from tests.system.watched_cluster import State, Watched

__all__ = ["kubernetes_cluster", "pod_cluster"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.long(minutes=1),
    pytest.mark.xdist_group("whole-cluster"),
]

MINIMUM: Final = 2
LIMITS: Final = {"min": MINIMUM, "max": 6, "stabilisation": "PT4S", "cooldown": "PT0S"}
WANTED: Final = (2, 3, 6, 5, 2, 6, 2)
"""In the stages of each load."""
MILLICORES: Final = 100
"""What each pod asks for."""
BY_CPU: Final = policy({"signal": "cpu", "target": 50}, **LIMITS)
USED: Final = (60, 140, 300, 220, 80, 260, 30)
"""Millicores of all pods together, stage by stage."""
QUEUED: Final = (12, 28, 60, 44, 16, 52, 6)
"""Messages, stage by stage; each instance is to have ten."""
LOOK_S: Final = 2
"""How often the controller of a local cluster looks."""
STAYS_FOR: Final = 5
"""So many looks without a change, and the stabilisation with them."""


@dataclass
class Scene:
    """A release that the cluster scales, and its `load`, which is asked for `looks` times."""

    releases: ClusterReleases
    watched: Watched
    load: float = 0
    looks: int = 0

    @property
    def _state(self) -> State:
        return self.watched.history[revision_name(self.releases.component, 1)][-1]

    def pods(self) -> Sequence[Object]:
        self.looks += 1
        return list(self.watched.pods.values())

    def share(self) -> int:
        """Return the millicores that each pod uses."""
        return round(self.load / max(1, self._state.available))

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer Prometheus, which asks every second."""
        self.looks += 1
        return web.Response(text=f"queued {self.load}\n")

    async def scale_by(self, content: ScalingPolicyChange) -> None:
        await self.releases.surface.set_scaling(
            self.releases.component, 1, native_rules(content), await self.releases.fence("scaling")
        )

    async def settled_numbers(self, loads: Sequence[float], looks: int) -> Sequence[int]:
        """Return the number that stays for so many *looks* in each stage of *loads*."""
        return [await self._settled_number(load, looks) for load in loads]

    async def _settled_number(self, load: float, looks: int) -> int:
        self.load, clock = load, SystemClock()
        give_up_at_s = clock.monotonic_s() + PATIENCE_S
        number, since = self._state.replicas, self.looks
        while self.looks - since < looks:
            assert clock.monotonic_s() < give_up_at_s, self._state
            await clock.sleep(0.1)
            if (self._state.replicas, self._state.available) != (number, number):
                number, since = self._state.replicas, self.looks
        return number


@asynccontextmanager
async def released(pods: PodCluster) -> AsyncIterator[Scene]:
    """Yield the scene of a release that nobody scales yet."""
    async with cluster_releases(pods) as releases:
        watched = Watched(releases.harness.api, releases.harness.installation.labels)
        async with watched.following():
            first = await releases.deploy("1", replicas=MINIMUM, resources={"cpu": 0.1})
            assert first.status == "Completed", first.reason
            yield Scene(releases, watched)


def replayed(content: ScalingPolicyChange, loads: Sequence[float]) -> Sequence[int]:
    """Return the number that stays in each stage by our own evaluation."""
    (rule,) = content.rules
    began, looks = datetime(2026, 11, 30, tzinfo=UTC), STAYS_FOR + 1
    stages = [Load(load, is_shared=True) for load in loads for _ in range(looks)]
    recorded = [
        Recorded(began + place * timedelta(seconds=LOOK_S), MINIMUM, {rule.signal: each})
        for place, each in enumerate(stages)
    ]
    result = replay(content, recorded, Resources(cpu=0.1), ScalingDefaults(), may_be_none=False)
    return [step.desired for step in result.steps[looks - 1 :: looks]]


def assert_alike(of_cluster: Sequence[int], ours: Sequence[int]) -> str:
    """Check that both took the same numbers within one; return them as a table."""
    assert tuple(ours) == WANTED
    assert max(abs(one - other) for one, other in zip(of_cluster, ours, strict=True)) <= 1
    return f"cluster  {list(of_cluster)}\nplatform {list(ours)}"


def test_by_use_kubernetes_and_we_take_the_same_numbers_within_one(
    pod_cluster: PodCluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def numbers() -> Sequence[int]:
        async with released(pod_cluster) as scene:
            api, namespace = scene.releases.harness.api, scene.releases.namespace
            async with measured(api, namespace, tmp_path, scene.pods, scene.share):
                await scene.scale_by(BY_CPU)
                return await scene.settled_numbers(USED, STAYS_FOR)

    percent = [load * 100 / MILLICORES for load in USED]
    record_property(TABLE, assert_alike(asyncio.run(numbers()), replayed(BY_CPU, percent)))


@pytest.mark.sweep
def test_by_a_queue_keda_and_we_take_the_same_numbers_within_one(
    pod_cluster: PodCluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def by_queue(server: str) -> ScalingPolicyChange:
        settings = {"trigger": "prometheus", "serverAddress": server, "query": "sum(queued)"}
        return policy({"signal": "queueLength", "target": 10, "settings": settings}, **LIMITS)

    async def numbers() -> Sequence[int]:
        async with released(pod_cluster) as scene, serving("/metrics", scene.metrics) as address:
            api, namespace = scene.releases.harness.api, scene.releases.namespace
            with scraping(tmp_path, address) as server:
                async with keda(pod_cluster.cluster, api, namespace, tmp_path / "keda"):
                    await scene.scale_by(by_queue(server))
                    return await scene.settled_numbers(QUEUED, STAYS_FOR * LOOK_S)

    ours = replayed(by_queue("http://localhost"), QUEUED)
    record_property(TABLE, assert_alike(asyncio.run(numbers()), ours))


@asynccontextmanager
async def serving(
    path: str, answer: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[str]:
    """Yield `host:port` of a server of this machine whose *path* is answered by *answer*."""
    app, port = web.Application(), free_port(SystemEntropy())
    app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()
