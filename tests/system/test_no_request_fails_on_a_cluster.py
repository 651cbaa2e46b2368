"""A client at 60 requests a second sees no failure, whatever happens to a real cluster.

One client through all events, and one cluster of its own, which is harmed. Releases are made by the
deployments service. What a killed node was answering is lost; the table counts it.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from cli.demo.load_process import LoadProcess
from local_cluster.cluster_folder import Form
from local_cluster.gateway_files import ADMIN
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Reading, Unknown
from shared.persistence.unix_sockets import short_name
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import PODS
from shared.surfaces.observed_state import LiveComponent, Phase
from tests.deployments.driven import TEST, Driven
from tests.kit.event_table import TABLE, EventRow, table, with_requests
from tests.kit.kubernetes_cluster import KubernetesCluster, own_cluster
from tests.kit.patience import PATIENCE_S
from tests.kit.pod_cluster import PodCluster, with_pods
from tests.system.cluster_releases import ClusterReleases, cluster_releases

pytestmark = [pytest.mark.real, pytest.mark.long]

REPLICAS: Final = 3


@dataclass
class Scene:
    """The application, its client, and the cluster that things happen to."""

    releases: ClusterReleases
    load: LoadProcess
    rows: list[EventRow] = field(default_factory=list)
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def cluster(self) -> KubernetesCluster:
        return self.releases.pods.cluster

    @property
    def world(self) -> Driven:
        return self.releases.world

    async def kubectl(self, *words: str) -> str:
        return await asyncio.to_thread(self.cluster.kubectl, *words)

    async def until(self, holds: Callable[[], Awaitable[Any]]) -> Any:
        """Return the first true result of *holds*; a cluster that is away is asked again."""
        give_up_at_s = self.clock.monotonic_s() + PATIENCE_S
        while True:
            with suppress(Unavailable):
                if found := await holds():
                    return found
            assert self.clock.monotonic_s() < give_up_at_s, "it never came"
            await self.clock.sleep(0.05)

    async def whole(self, replicas: int = REPLICAS) -> LiveComponent | None:
        """Return the component if its one revision has all its instances."""
        live = await self.releases.live()
        [*others, last] = live.revisions
        is_whole = last.phase is Phase.READY and last.ready == len(last.instances) == replicas
        return live if is_whole and not others else None

    async def ready_pods(self) -> list[Object]:
        found, _ = await self.releases.harness.api.list_all(
            PODS, {}, namespace=self.releases.namespace, keep=lambda each: each
        )
        return [pod for pod in found if has_condition(pod, "Ready")]

    async def targets(self) -> set[str]:
        """Return the addresses to which the Gateway's Envoy sends new requests."""
        with short_name(self.cluster.folder.gateway / ADMIN) as socket:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session,
                session.get("http://envoy/clusters?format=json") as answer,
            ):
                shown = await answer.json(content_type=None)
        return {
            host["address"]["socket_address"]["address"]
            for cluster in shown["cluster_statuses"]
            if cluster["name"] != "admin"
            for host in cluster.get("host_statuses", ())
            if host["health_status"].get("eds_health_status", "HEALTHY") == "HEALTHY"
        }

    @asynccontextmanager
    async def api_server_away(self) -> AsyncIterator[None]:
        """Kill the API server whenever it runs, meanwhile."""

        async def kill() -> None:
            while True:
                for pid in await asyncio.to_thread(self.cluster.processes, "kube-apiserver"):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await self.clock.sleep(0.2)

        killing = asyncio.create_task(kill())
        try:
            yield
        finally:
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing

    @asynccontextmanager
    async def switched_off(self, node: str) -> AsyncIterator[None]:
        """Have *node* without power meanwhile, from when its last process is gone."""
        switch = self.cluster.switched_off(node)
        await asyncio.to_thread(switch.__enter__)
        try:
            while await asyncio.to_thread(self.cluster.processes, "kubelet", node):
                await self.clock.sleep(0.01)
            yield
        finally:
            await asyncio.to_thread(switch.__exit__, None, None, None)

    async def play(self, name: str, event: Callable[["Scene", EventRow], Awaitable[None]]) -> None:
        row = EventRow(name, self.clock.now(), self.clock.now())
        self.rows.append(row)
        try:
            await event(self, row)
        finally:
            row.ended_at = self.clock.now()


def has_condition(found: Object, name: str) -> bool:
    return any(
        (each["type"], each["status"]) == (name, "True")
        for each in found["status"].get("conditions", ())
    )


def starts_of(pods: list[Object]) -> dict[str, tuple[str, int]]:
    """Return the container of each pod, and how often it was started again."""
    return {
        pod["metadata"]["name"]: (status["containerID"], status["restartCount"])
        for pod in pods
        for status in pod["status"]["containerStatuses"]
    }


async def release(scene: Scene, row: EventRow) -> None:
    deployment = await scene.releases.deploy("2", replicas=REPLICAS)
    assert deployment.status == "Completed", deployment.reason
    row.notes.append("canary 10, 50, 100 %")


async def bad_release(scene: Scene, row: EventRow) -> None:
    scene.world.health.bad.add(scene.releases.pods.digest)
    deployment = await scene.releases.deploy("3", replicas=REPLICAS)
    scene.world.health.bad.clear()
    assert deployment.status == "RolledBack", deployment.reason
    assert (await scene.releases.live()).weights == {2: 100}
    row.notes.append("turned back by its gate")


async def rollback(scene: Scene, row: EventRow) -> None:
    deployment = await scene.releases.roll_back("2")
    assert deployment.status == "Completed", deployment.reason
    row.notes.append("of the completed release")


async def scale(scene: Scene, row: EventRow) -> None:
    last = (await scene.releases.live()).revisions[-1].revision
    for replicas in (6, 1, REPLICAS):
        await scene.releases.surface.scale(
            scene.releases.component, last, replicas, await scene.releases.fence(f"to {replicas}")
        )
        await scene.until(partial(scene.whole, replicas))
    row.notes.append("to 6, 1 and back")


async def restart(scene: Scene, row: EventRow) -> None:
    before = starts_of(await scene.ready_pods())
    last = (await scene.releases.live()).revisions[-1].revision
    await scene.releases.surface.restart(
        scene.releases.component, last, await scene.releases.fence(row.name)
    )

    async def are_new() -> bool:
        return await scene.whole() is not None and not before.keys() & starts_of(
            await scene.ready_pods()
        )

    await scene.until(are_new)


async def drain(scene: Scene, row: EventRow) -> None:
    """As an operator does: `kubectl drain` respects the budgets that the surface wrote."""
    places = Counter(pod["spec"]["nodeName"] for pod in await scene.ready_pods())
    ((node, count),) = places.most_common(1)
    await scene.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
    await scene.until(scene.whole)
    assert node not in {pod["spec"]["nodeName"] for pod in await scene.ready_pods()}
    await scene.kubectl("uncordon", node)
    row.notes.append(f"{count} of {REPLICAS} pods evicted")


async def kill_component(scene: Scene, component: str) -> None:
    before = starts_of(await scene.ready_pods())
    await asyncio.to_thread(scene.cluster.kill, component)
    since = scene.clock.now()

    async def is_back() -> bool:
        return await asyncio.to_thread(scene.cluster.are_ready_since, since)

    await scene.until(is_back)
    await scene.until(scene.whole)

    async def are_the_same() -> bool:
        # A kubelet that is back probes each pod before it is ready again.
        return starts_of(await scene.ready_pods()) == before

    await scene.until(are_the_same)


async def kill_kubelets(scene: Scene, row: EventRow) -> None:
    await kill_component(scene, "kubelet")
    row.notes.append("of both nodes; no pod started again")


async def kill_containerds(scene: Scene, row: EventRow) -> None:
    await kill_component(scene, "containerd")
    row.notes.append("of both nodes; no pod started again")


async def lose_node(scene: Scene, row: EventRow) -> None:
    """It loses its power, and with it most of the pods; it comes back."""
    places = Counter(pod["spec"]["nodeName"] for pod in await scene.ready_pods())
    ((node, count),) = places.most_common(1)
    lost = {
        pod["status"]["podIP"]
        for pod in await scene.ready_pods()
        if pod["spec"]["nodeName"] == node
    }
    async with scene.switched_off(node):
        row.lost_at = scene.clock.now()

        async def is_detected() -> bool:
            return not lost & await scene.targets()

        async def is_elsewhere() -> bool:
            ready = await scene.ready_pods()
            return len(ready) == REPLICAS and all(pod["spec"]["nodeName"] != node for pod in ready)

        await scene.until(is_detected)
        row.detected_at = scene.clock.now()
        await scene.until(is_elsewhere)
    await scene.until(scene.whole)
    detected_s = (row.detected_at - row.lost_at).total_seconds()
    row.notes.append(f"{count} of {REPLICAS} pods lost, detected after {detected_s:.1f} s")


async def lose_api_server(scene: Scene, row: EventRow) -> None:
    """It is killed at each start until every read says so, in the middle of a rollout."""
    surface, before = scene.releases.surface, await scene.releases.live()
    deployment = await scene.releases.begin("4", replicas=REPLICAS)
    scene.world.halt_at = "shift_traffic"
    await scene.world.until(scene.world.is_halted)
    rolling_on = asyncio.create_task(scene.world.settle())
    async with scene.api_server_away():
        scene.world.go_on()
        for read in (
            partial(surface.observe, scene.releases.component),
            partial(surface.inventory, TEST),
            partial(surface.properties, scene.releases.component),
            partial(surface.prove, scene.releases.component),
            partial(surface.read_site, TEST),
        ):
            assert (await scene.until(partial(unknown, read))).reason
        with pytest.raises(Unavailable):
            await surface.set_weights(
                scene.releases.component, before.weights, Fence(before.fence, "op", "x")
            )
    began_s = scene.clock.monotonic_s()
    await rolling_on
    row.notes.append(f"rollout went on and ended {scene.clock.monotonic_s() - began_s:.1f} s later")
    ended = await scene.world.deployment(deployment)
    assert ended.status == "Completed", ended.reason
    assert await scene.until(scene.whole)


async def unknown(read: Callable[[], Awaitable[Reading[Any]]]) -> Unknown | None:
    found = await read()
    return found if isinstance(found, Unknown) else None


EVENTS: Final[Mapping[str, Callable[[Scene, EventRow], Awaitable[None]]]] = {
    "release": release,
    "bad release": bad_release,
    "rollback": rollback,
    "scale": scale,
    "node drain": drain,
    "back on both nodes": restart,
    "kubelet killed": kill_kubelets,
    "containerd killed": kill_containerds,
    "API server killed": lose_api_server,
    "node death": lose_node,
}


async def played(pods: PodCluster, folder: Path) -> list[EventRow]:
    """Play all events under one client; return what it saw."""
    async with cluster_releases(pods) as releases:
        scene = Scene(releases, LoadProcess(folder))
        first = await scene.releases.deploy("1", replicas=REPLICAS)
        assert first.status == "Completed", first.reason
        live = await scene.until(scene.whole)
        scene.load.start(live.endpoint)
        try:
            for name, event in EVENTS.items():
                await scene.play(name, event)
        finally:
            await asyncio.to_thread(scene.load.stop)
            requests = scene.load.requests()
            for row in scene.rows:
                with_requests(row, requests)
        assert requests[-1].sent_at >= scene.rows[-1].began_at, "the client ended early"
        return scene.rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, EventRow]]:
    folder = tmp_path_factory.mktemp("traffic")
    with own_cluster(folder) as cluster:
        if cluster.record.form is not Form.ROOT:
            pytest.skip("this machine's user is not root, and reaches no pod")
        pods = with_pods(cluster, folder)
        yield {row.name: row for row in asyncio.run(played(pods, folder))}


@pytest.mark.parametrize("event", EVENTS)
def test_no_request_fails_through(event: str, rows: Mapping[str, EventRow]) -> None:
    row = rows[event]

    assert len(row.requests) > 30
    assert [each.failure for each in row.unexplained] == []


def test_the_table(
    rows: Mapping[str, EventRow], record_property: Callable[[str, object], None]
) -> None:
    record_property(TABLE, table(list(rows.values())))
