"""The API server is killed under each operation, and comes back with the etcd that it had.

An operation succeeds or ends in Unavailable, and repeated it has the undisturbed end. No read takes
for gone what could not be read.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks import cluster_api
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.kinds import CONFIG_MAPS, DEPLOYMENTS
from tests.kit.patience import PATIENCE_S
from tests.kit.played_cluster import PlayedCluster, played_cluster
from tests.surfaces import cluster_life
from tests.surfaces.aks_harness import AksHarness, Host, aks_harness
from tests.surfaces.harness import ENVIRONMENT, SHOP, fence
from tests.surfaces.test_every_write_on_a_cluster_may_be_killed import (
    WRITES,
    listed,
    patiently,
    state,
)

if TYPE_CHECKING:
    from httpx2 import Request, Response

    from shared.surfaces.aks.surface import AksSurface

pytestmark = [pytest.mark.once, pytest.mark.real, pytest.mark.long]
SPLIT: Final = {1: 100}
"""Nobody splits requests among pods that are played."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedCluster]:
    with played_cluster(tmp_path_factory.mktemp("api-server")) as cluster:
        yield cluster


class Deaths:
    """Kills the API server under a write, at its first request that changes something.

    The first time that there is such a write before the request is sent, the second time when its
    answer begins.
    """

    def __init__(self, cluster: PlayedCluster) -> None:
        self.under: Counter[str] = Counter()
        """How often it was killed under each write."""
        self.write = ""
        self._cluster = cluster

    async def on_request(self, request: "Request") -> None:
        if request.method != "GET" and self.write and self.under[self.write] == 0:
            self._kill()

    async def on_response(self, response: "Response") -> None:
        is_write = response.request.method != "GET"
        if is_write and self.write and self.under[self.write] == 1:
            self._kill()

    def _kill(self) -> None:
        self.under[self.write] += 1
        self.write = ""
        self._cluster.kill_api_server()


class Disturbed:
    """A surface under each of whose writes the API server is killed, and which is then read."""

    def __init__(self, surface: object, deaths: Deaths) -> None:
        self._surface = surface
        self._deaths = deaths
        self._clock = SystemClock()
        self.readings: list[Reading[Any]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._surface, name)
        return self._killed(name, method) if name in WRITES else method

    def _killed(
        self, name: str, write: Callable[..., Coroutine[Any, Any, None]]
    ) -> Callable[..., Coroutine[Any, Any, None]]:
        async def killed(*args: object) -> None:
            self._deaths.write, before = name, self._deaths.under[name]
            with suppress(Unavailable):
                await write(*args)
            if self._deaths.under[name] > before:
                await self._read()
            self._deaths.write = ""
            await write(*args)

        return killed

    async def _read(self) -> None:
        """Read everything until all of it can be read again."""
        surface: Any = self._surface
        for _ in range(1000):
            readings = [
                await surface.read_site(ENVIRONMENT),
                await surface.inventory(ENVIRONMENT),
                await surface.observe(SHOP),
                await surface.properties(SHOP),
            ]
            self.readings += readings
            if not any(isinstance(each, Unknown) for each in readings):
                return
            await self._clock.sleep(0.02)
        raise AssertionError(f"the API server never came back: {readings}")


async def no_step() -> None:
    """Do nothing."""


async def life(
    harness: AksHarness, check: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> list[Mapping[str, Any]]:
    """Live through all; return what the cluster had after each step, and *check* while it lives."""
    found = [await state(harness, step) for step in cluster_life.beginning(harness, SPLIT)]
    for step in (no_step, *cluster_life.rest(harness)):
        found.append(await state(harness, step))
        if check is not None:
            await check()
    return found + [await state(harness, step) for step in cluster_life.end(harness)]


async def replicas(surface: "AksSurface") -> Mapping[int, int] | None:
    reading = await surface.inventory(ENVIRONMENT)
    assert not isinstance(reading, Absent)
    if not isinstance(reading, Present) or not reading.value.components:
        return None
    (component,) = reading.value.components
    return {each.revision: each.replicas for each in component.revisions}


async def test_each_operation_succeeds_or_is_unavailable_and_ends_undisturbed(
    cluster: PlayedCluster,
) -> None:
    async with aks_harness(cluster.pods) as harness:
        assert isinstance(harness, AksHarness)
        undisturbed = await life(harness)
    async with aks_harness(cluster.pods) as harness:
        assert isinstance(harness, AksHarness)
        other = Host(cluster.pods, harness.installation)  # only reads, and so from its watches
        reader, deaths = other.start(), Deaths(cluster)
        client = await harness.host.connect()
        hooks = client._client._client.event_hooks
        hooks["request"].append(deaths.on_request)
        hooks["response"].append(deaths.on_response)
        surface: Any = harness.surface
        mortal: Any = Disturbed(surface, deaths)
        harness.surface = mortal
        lives_since: list[int] = []

        async def is_followed() -> None:
            """Return when the watches of another process show what the API server has."""
            give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
            while (live := await replicas(reader)) is None or live != await replicas(surface):
                assert harness.clock.monotonic_s() < give_up_at_s, live
                await harness.clock.sleep(0.1)
            if not lives_since:
                lives_since.append(len(mortal.readings))
            of_life = mortal.readings[lives_since[0] :]
            assert not any(isinstance(each, Absent) for each in of_life)

        try:
            disturbed = await life(harness, is_followed)
        finally:
            await other.close()

    for one, another in zip(undisturbed, disturbed, strict=True):
        assert another == one
    assert {name for name, count in deaths.under.items() if count} == WRITES


async def test_watches_go_on_and_lists_are_whole_where_their_versions_were_compacted(
    cluster: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aks_harness(cluster.pods) as harness:
        assert isinstance(harness, AksHarness)
        await harness.serve(harness.spec(1))
        other = Host(cluster.pods, harness.installation)
        reader, api, labels = other.start(), harness.api, harness.installation.labels
        assert await replicas(reader) == {1: 1}
        _, version = await api.list_all(DEPLOYMENTS, labels, keep=dict)

        await harness.surface.scale(SHOP, 1, 2, fence(1))
        await cluster.compact()
        cluster.kill_api_server()

        async def too_old() -> int:
            try:
                return len(
                    [each async for each in api.changes_since(DEPLOYMENTS, labels, version, 1)]
                )
            except ApiRefusal as refusal:
                return refusal.status

        assert await patiently(harness, too_old) == 410
        give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
        while await replicas(reader) != {1: 2}:
            assert harness.clock.monotonic_s() < give_up_at_s
            await harness.clock.sleep(0.1)
        await other.close()

        monkeypatch.setattr(cluster_api, "PAGE", 1)
        whole = [each["metadata"]["uid"] for each in await listed(harness, CONFIG_MAPS)]
        compacted: list[str] = []

        async def compact(request: "Request") -> None:
            """Forget the version of the first page before the second is asked for."""
            if "continue" in request.url.params and not compacted:
                compacted.append(str(request.url))
                await harness.surface.scale(SHOP, 1, 3, fence(1))
                await cluster.compact()
                cluster.kill_api_server()

        client = await api._connect()
        client._client._client.event_hooks["request"].append(compact)

        found = await patiently(harness, lambda: listed(harness, CONFIG_MAPS))
        assert sorted(each["metadata"]["uid"] for each in found) == sorted(whole)
        assert compacted
