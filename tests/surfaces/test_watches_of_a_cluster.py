"""Reads are kept current by watches, which resume, begin anew, and say when they cannot."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web

from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS, Kind
from shared.surfaces.aks.names import ENVIRONMENT as ENVIRONMENT_LABEL
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.watches import SILENT_MAX_S, STALE_AFTER_S, KindCache, WatchedObjects
from shared.surfaces.capabilities import Feature
from tests.kit.api_server import stand_in_api
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
Change = tuple[str, Object]


@pytest.mark.shows(Feature.IMAGES, on="aks")
def test_what_is_watched_is_what_is_there(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await harness.serve(harness.spec(1), weights={1: 100})
        watched = WatchedObjects(cluster.api, cluster.installation, harness.clock)
        first = await watched.component(SHOP, is_routed=True)

        await harness.serve(harness.spec(2), weights={2: 100})
        await harness.surface.remove(SHOP, 1, fence(1))

        for _ in range(200):
            last = await watched.component(SHOP, is_routed=True)
            names = [each["metadata"]["name"] for each in last.workloads]
            if names == ["module-shop-r2"] and last.record and last.record.weights == {2: 100}:
                break
            await harness.clock.sleep(0.05)
        else:
            raise AssertionError(f"the watches show {last}")
        await watched.close()
        assert [each["metadata"]["name"] for each in first.workloads] == ["module-shop-r1"]
        inventory = await harness.surface.inventory(ENVIRONMENT)
        assert isinstance(inventory, Present)
        assert [each.component for each in inventory.value.components] == [SHOP]

    run_scenario(scenario)


def pod(name: str, version: str) -> Object:
    labels = {ENVIRONMENT_LABEL: "here"}
    return {
        "metadata": {
            "namespace": "n", "name": name, "labels": labels, "resourceVersion": version,
        }
    }  # fmt: skip


class PlannedApi:
    """An API server whose every list and watch is planned; it is silent at the end.

    A watch raises an error that stands among its changes.
    """

    def __init__(self, *answers: list[Object] | list[Change | Exception] | Exception) -> None:
        self.answers = list(answers)
        self.versions: list[str] = []

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list_all(
        self, _: Kind, __: Mapping[str, str], *, keep: Callable[[Object], Object]
    ) -> tuple[list[Object], str]:
        return [keep(each) for each in self._next()], "10"

    async def changes_since(
        self, _: Kind, __: Mapping[str, str], version: str, ___: int
    ) -> AsyncIterator[Change]:
        self.versions.append(version)
        if not self.answers:
            await asyncio.Event().wait()
        for change in self._next():
            if isinstance(change, Exception):
                raise change
            yield change


@asynccontextmanager
async def followed(api: PlannedApi) -> AsyncIterator[KindCache]:
    cache = KindCache(cast("ClusterApi", api), PODS, {}, lambda each: each, LoopClock())
    watch = asyncio.create_task(cache.follow())
    try:
        yield cache
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def names(found: list[Object]) -> list[str]:
    return sorted(each["metadata"]["name"] for each in found)


GONE = ApiRefusal(410, "Expired", "too old resource version", ())


def test_a_watch_goes_on_from_its_last_bookmark() -> None:
    async def main() -> None:
        api = PlannedApi(
            [pod("a", "1")],
            [("ADDED", pod("b", "11")), ("BOOKMARK", {"metadata": {"resourceVersion": "20"}})],
        )
        async with followed(api) as cache:
            await LoopClock().sleep(1)

            assert names(await cache.objects("here")) == ["a", "b"]
            assert api.versions == ["10", "20"]
            assert cache.lists == 1

    run_virtual(main())


@pytest.mark.parametrize("when", ["at-once", "in-the-middle"])
def test_a_version_that_is_gone_begins_anew(when: str) -> None:
    async def main() -> None:
        middle = [] if when == "at-once" else [[("DELETED", pod("a", "11"))]]
        api = PlannedApi([pod("a", "1"), pod("b", "2")], *middle, GONE, [pod("c", "12")])
        async with followed(api) as cache:
            await LoopClock().sleep(1)

            assert names(await cache.objects("here")) == ["c"]
            assert cache.lists == 2

    run_virtual(main())


def test_a_broken_watch_is_current_for_a_while_and_then_unknown() -> None:
    async def main() -> None:
        away = [Unavailable("the API server is away")] * 20
        api = PlannedApi([pod("a", "1")], *away)
        async with followed(api) as cache:
            await LoopClock().sleep(STALE_AFTER_S - 1)
            assert names(await cache.objects("here")) == ["a"]

            await LoopClock().sleep(2)

            with pytest.raises(Unreadable, match="the API server is away"):
                await cache.objects("here")

            api.answers = [[pod("a", "1"), pod("b", "11")]]
            await LoopClock().sleep(6)
            assert names(await cache.objects("here")) == ["a", "b"]

    run_virtual(main())


async def test_a_text_may_have_what_unicode_takes_for_an_end_of_line() -> None:
    odd = "one\u0085two\u2028three"
    found = {"metadata": {"name": "a", "annotations": {"note": odd}}}

    async def watched(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        change = json.dumps({"type": "MODIFIED", "object": found}, ensure_ascii=False)
        lines = f"{change}\n{change}\n".encode()
        for part in (lines[:70], lines[70:-5], lines[-5:]):
            await response.write(part)
        return response

    async with stand_in_api() as (server, api):
        server.answers[PODS.path()] = watched

        changes = [each async for each in api.changes_since(PODS, {}, "1", 5)]

    assert changes == [("MODIFIED", found)] * 2


LEADERLESS = ApiRefusal(500, "InternalError", "etcdserver: no leader", ())


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([LEADERLESS], id="by-an-error"),
        pytest.param([], id="by-a-proxy"),
        pytest.param([GONE], id="too-old"),
    ],
)
def test_a_watch_that_connects_and_ends_at_once_is_listed_ever_more_rarely(
    ends: list[Change | Exception],
) -> None:
    async def main() -> None:
        listed: list[Object] = [pod("a", "1")]
        answers: list[Any] = [each for _ in range(500) for each in (listed, ends)]
        async with followed(PlannedApi(*answers)) as cache:
            await LoopClock().sleep(100)

            assert names(await cache.objects("here")) == ["a"]
            assert 15 < cache.lists < 30

    run_virtual(main())


def test_a_watch_that_connects_and_fails_is_not_well_without_a_list() -> None:
    async def main() -> None:
        away = Unavailable("the API server is away")
        api = PlannedApi([pod("a", "1")], [LEADERLESS], *[away] * 50)
        async with followed(api) as cache:
            await LoopClock().sleep(STALE_AFTER_S + 1)

            with pytest.raises(Unreadable, match="the API server is away"):
                await cache.objects("here")

    run_virtual(main())


def test_a_silent_watch_is_listed_and_unknown_where_that_fails() -> None:
    async def main() -> None:
        silent = asyncio.Event()

        class CutOff(PlannedApi):
            async def list_all(self, *args: Any, **kwargs: Any) -> tuple[list[Object], str]:
                if not self.answers:
                    await silent.wait()
                return await super().list_all(*args, **kwargs)

        api = CutOff([pod("a", "1")])
        async with followed(api) as cache:
            await LoopClock().sleep(SILENT_MAX_S + STALE_AFTER_S - 1)
            assert names(await cache.objects("here")) == ["a"]

            await LoopClock().sleep(2)

            with pytest.raises(Unreadable, match="nothing was heard for 75 s"):
                await cache.objects("here")

    run_virtual(main())


def test_a_quiet_kind_stays_known() -> None:
    async def main() -> None:
        class Quiet(PlannedApi):
            async def list_all(
                self, _: Kind, __: Mapping[str, str], *, keep: Callable[[Object], Object]
            ) -> tuple[list[Object], str]:
                return [keep(pod("a", "1"))], "10"

        async with followed(Quiet()) as cache:
            for _ in range(600):
                await LoopClock().sleep(1)
                assert names(await cache.objects("here")) == ["a"]

    run_virtual(main())


def test_a_change_that_nobody_understands_is_unknown_until_it_is_listed() -> None:
    async def main() -> None:
        api = PlannedApi([pod("a", "1")], [("ADDED", {"metadata": {}})], [pod("b", "12")])
        async with followed(api) as cache:
            await LoopClock().sleep(0.1)

            assert names(await cache.objects("here")) == ["b"]
            assert LoopClock().monotonic_s() >= 0.2
            assert cache.lists == 2

    run_virtual(main())


def test_a_follower_that_ended_is_started_again() -> None:
    async def main() -> None:
        class Emptied(PlannedApi):
            async def list_all(self, *_: Any, **__: Any) -> tuple[list[Object], str]:
                if self.answers:
                    raise asyncio.CancelledError
                return [], "10"

        api = Emptied([])
        watched = WatchedObjects(cast("ClusterApi", api), Installation("i"), LoopClock())
        with pytest.raises(Unreadable, match="not listed yet"):
            await watched.environment(ENVIRONMENT, is_routed=True)

        api.answers = []

        assert await watched.environment(ENVIRONMENT, is_routed=True) == []
        await watched.close()

    run_virtual(main())


def test_what_was_never_listed_is_unknown_and_says_why() -> None:
    async def main() -> None:
        api = PlannedApi(*[ApiRefusal(403, "Forbidden", "cannot list deployments", ())] * 50)
        cache = KindCache(cast("ClusterApi", api), DEPLOYMENTS, {}, lambda each: each, LoopClock())
        watch = asyncio.create_task(cache.follow())

        with pytest.raises(Unreadable, match="cannot list deployments"):
            await cache.objects("here")

        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    run_virtual(main())
