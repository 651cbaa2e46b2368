"""The inventory over its API: lists that page, the past, causes, dependencies, logs."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from function_apps.catalog.errors import LogNotFound
from function_apps.catalog.model.history import EffectiveRows
from function_apps.catalog.model.live_words import shown_words
from function_apps.catalog.model.service import RuntimeService, new_service, release_row
from function_apps.catalog.resources import live_revision
from function_apps.catalog.triggers import get_services
from function_apps.catalog.use_cases import queries, query_history
from shared.contracts.catalog import RecordRelease
from shared.kernel.clock import isoformat
from shared.kernel.errors import Invalid
from shared.messaging.fan_out import releases_of
from shared.surfaces.properties import Plane
from shared.web.request import Request
from tests.catalog.inventory import catalog
from tests.kit.sending import send
from tests.kit.told import (
    ENVIRONMENT,
    WEB,
    deployment_of,
    ended,
    environment,
    released,
    run,
    service_of,
)
from tests.kit.virtual_time import EPOCH, VirtualTimeLoop, run_virtual
from tests.kit.world import World

API = "module-api"
TOPIC = "runtime-events"
ROOT = "/runtime/services"
Asked = Callable[[Callable[[World], Coroutine[Any, Any, Any]]], Any]


def at(minute: float) -> str:
    return quote(isoformat(EPOCH + timedelta(minutes=minute)))


async def told(world: World) -> None:
    """Tell of two services, of a second release of one, and of the end of the other."""
    await run(world.surface, WEB)
    await run(world.surface, API)
    await send(TOPIC, environment(1), number=1)
    both = [released(WEB, dependsOn=[API]), released(API, owner="team-api")]
    await send(TOPIC, ended(1, both, at=EPOCH), number=2)
    await until(world, lambda found: len(found) == 2)
    await world.clock.sleep(300)
    await send(TOPIC, ended(2, [released(WEB, 2, dependsOn=[API])], at=EPOCH), number=3)
    await until(world, lambda found: "2.0" in {each["version"] for each in found})
    await world.clock.sleep(300)


async def while_away(world: World, path: str) -> tuple[int, Any]:
    """Return the answer while the surface is away."""
    world.surface.unreadable = "away"
    answer = await world.call("GET", path)
    world.surface.unreadable = ""
    return answer


async def until(world: World, holds: Callable[[list[Any]], bool]) -> None:
    async def reached() -> bool:
        _, body = await world.call("GET", ROOT)
        return holds(body["value"])

    await world.until(reached, within_s=600)


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    """Ask one world that was told, which every test leaves as it was, but for the time."""

    async def begun() -> World:
        world = World()
        await world.boot()
        await told(world)
        return world

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        world = runner.run(begun())
        yield lambda ask: runner.run(ask(world))
        runner.run(world.stop())


@pytest.mark.parametrize(
    ("query", "modules"),
    [
        pytest.param("", {WEB, API}, id="all"),
        pytest.param(f"?moduleId={WEB}", {WEB}, id="by-module"),
        pytest.param(f"?environmentId={ENVIRONMENT}&moduleId={WEB}", {WEB}, id="by-its-place"),
        pytest.param(f"?environmentId={ENVIRONMENT}&moduleId=none", set(), id="by-no-place"),
        pytest.param(
            f"?environmentId={ENVIRONMENT}&moduleId={WEB}&version=1.0",
            set(),
            id="by-both",
        ),
        pytest.param("?version=2.0", {WEB}, id="by-version"),
        pytest.param("?owner=team-api", {API}, id="by-owner"),
        pytest.param("?status=Running", {WEB, API}, id="by-status"),
        pytest.param("?status=Retired", set(), id="by-a-status-that-none-has"),
        pytest.param(f"?environmentId={ENVIRONMENT}&version=1.0", {API}, id="by-two-things"),
        pytest.param(f"?environmentId=env-{'b' * 12}", set(), id="by-another-environment"),
        pytest.param("?computeTarget=AKS", set(), id="by-another-target"),
    ],
)
def test_a_list_is_filtered(query: str, modules: set[str], asked: Asked) -> None:
    _, body = asked(lambda world: world.call("GET", ROOT + query))

    assert {each["moduleId"] for each in body["value"]} == modules


def test_a_list_is_paged_by_its_own_links_which_keep_the_filters(asked: Asked) -> None:
    async def ask(world: World) -> list[str]:
        found, link = [], f"{ROOT}?top=1&status=Running"
        while link:
            status, body = await world.call("GET", link)
            assert status == 200, body
            found += [each["moduleId"] for each in body["value"]]
            link = body["nextLink"]
        return found

    found = asked(ask)

    assert sorted(found) == sorted([WEB, API])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("environmentId=", "the id of an environment", id="empty"),
        pytest.param(f"environmentId={service_of()}", "the id of an environment", id="foreign"),
        pytest.param("status=Foo", "one of Deploying, Running, ", id="no-status"),
        pytest.param("computeTarget=moon", "one of ", id="no-compute-target"),
    ],
)
def test_a_filter_value_that_no_service_can_have_is_refused(query: str, expected: str) -> None:
    async def main() -> Any:
        made = catalog()
        name, _, value = query.partition("=")
        request: Request[None] = Request(None, made.bench.ctx(), query={name: value})
        with pytest.raises(Invalid) as refused:
            await get_services(request, made.app)
        return refused.value.message

    assert f"expected {expected}" in run_virtual(main())


@pytest.mark.parametrize(
    ("query", "version"),
    [
        pytest.param("", "2.0", id="now"),
        pytest.param(f"?knownAt={at(4)}", "1.0", id="as-it-was-known-before"),
        pytest.param(f"?asOf={at(0)}&knownAt={at(4)}", "1.0", id="then-as-known-then"),
        pytest.param(f"?asOf={at(0)}", "2.0", id="then-as-known-now"),
    ],
)
def test_the_past_is_answered_in_two_times(query: str, version: str, asked: Asked) -> None:
    status, body = asked(lambda world: world.call("GET", f"{ROOT}/{service_of()}{query}"))

    assert (status, body["version"]) == (200, version)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param(f"?asOf={at(-1)}", 404, "ServiceNotFound", id="before-it-was-there"),
        pytest.param(f"?knownAt={at(-1)}", 404, "ServiceNotFound", id="before-it-was-known"),
        pytest.param("?asOf=yesterday", 400, "Invalid", id="no-instant"),
        pytest.param("?asOf=2026-01-01T00:00:00", 400, "Invalid", id="an-instant-without-offset"),
        pytest.param("?asof=x", 400, "UnknownParameter", id="an-unknown-parameter"),
    ],
)
def test_a_time_that_cannot_be_answered_is_refused(
    query: str, status: int, code: str, asked: Asked
) -> None:
    found, body = asked(lambda world: world.call("GET", f"{ROOT}/{service_of()}{query}"))

    assert (found, body["error"]["code"]) == (status, code)


def test_the_history_names_each_cause_and_pages_without_gaps(asked: Asked) -> None:
    async def ask(world: World) -> tuple[list[Any], list[Any]]:
        path = f"{ROOT}/{service_of()}/history"
        _, whole = await world.call("GET", path)
        paged, link = [], f"{path}?top=1"
        while link:
            _, body = await world.call("GET", link)
            paged += body["value"]
            link = body["nextLink"]
        return whole["value"], paged

    whole, paged = asked(ask)

    assert paged == whole
    assert [(each["version"], each["cause"]["id"]) for each in whole] == [
        ("1.0", deployment_of(1)),
        ("2.0", deployment_of(2)),
    ]
    assert [each["validUntil"] for each in whole] == [whole[1]["validFrom"], None]


def test_a_page_of_the_history_before_the_first_release_is_empty() -> None:
    async def main() -> tuple[list[int], list[Any]]:
        made = catalog()
        await made.hear_all(
            ended(1, [], rolled_back=True, modules=[WEB], removed=[WEB]), ended(2, [released()])
        )
        sizes, rows, continuation = [], [], None
        while not sizes or continuation is not None:
            value, continuation = await query_history.get_history(
                service_of(), made.bench.ctx(), made.app, limit=1, continuation=continuation
            )
            sizes.append(len(value))
            rows += value
        return sizes, rows

    sizes, rows = run_virtual(main())

    assert sizes == [0, 1]
    assert [each["cause"]["id"] for each in rows] == [deployment_of(2)]


def test_a_service_tells_when_it_was_last_seen_although_nothing_changed(asked: Asked) -> None:
    async def ask(world: World) -> tuple[str, str]:
        _, body = await world.call("GET", f"{ROOT}/{service_of()}")
        return body["lastObservedAt"], isoformat(world.clock.now() - timedelta(seconds=120))

    seen_at, two_minutes_ago = asked(ask)

    assert seen_at > two_minutes_ago


def test_dependencies_are_told_both_ways(asked: Asked) -> None:
    async def ask(world: World) -> tuple[Any, Any]:
        _, web = await world.call("GET", f"{ROOT}/{service_of()}/dependencies")
        _, api = await world.call("GET", f"{ROOT}/{service_of(API)}/dependencies")
        return web, api

    web, api = asked(ask)

    assert [(each["moduleId"], each["status"]) for each in web["dependsOn"]] == [(API, "Running")]
    assert [each["serviceId"] for each in api["neededBy"]] == [service_of()]
    assert (web["neededBy"], api["dependsOn"]) == ([], [])


def test_the_log_of_an_instance_is_told_and_that_of_a_stranger_is_not(asked: Asked) -> None:
    async def ask(world: World) -> tuple[Any, Any, Any]:
        path = f"{ROOT}/{service_of()}/logs"
        known = await world.call("GET", path)
        stranger = await world.call("GET", f"{path}?instance=nobody")
        return known, stranger, await while_away(world, path)

    known, stranger, away = asked(ask)

    assert (known[0], len(known[1]["lines"])) == (200, 1)
    assert (stranger[0], stranger[1]["error"]["code"]) == (404, "LogNotFound")
    assert away[0] == 503


def test_a_service_is_shown_as_its_surface_has_it_now(asked: Asked) -> None:
    async def ask(world: World) -> tuple[Any, Any]:
        path = f"{ROOT}/{service_of()}/live"
        return await world.call("GET", path), await while_away(world, path)

    (status, body), away = asked(ask)

    ((number, planes),) = [(e["releaseRevision"], e["properties"]) for e in body["revisions"]]
    assert (status, number) == (200, 1)
    assert planes["replicas"]["owner"] == "Platform"
    assert planes["routing"]["weight"] == "0"
    assert (away[0], "away" in away[1]["error"]["message"]) == (503, True)


def service_with(**component: Any) -> RuntimeService:
    """Return the service of a release in force."""
    made = ended(1, [released(**component)], at=EPOCH)
    (command,) = releases_of(made, RecordRelease)
    fresh = new_service(command, service_id=service_of(), tenant_id="acme")
    rows = EffectiveRows(release=release_row(command, EPOCH))
    return replace(fresh, rows=rows)


def test_of_what_may_be_secret_only_what_the_release_says_is_shown() -> None:
    service = service_with(environ={"LEVEL": "info", "URL": "http://db"}, command=["serve"])
    live = {
        "environ/LEVEL": "info", "environ/URL": "http://db:hunter2@db", "environ/NEW": "hunter2",
        "command": '["serve", "hunter2"]', "artifact": "sha256:other", "resources/memoryMib": "64",
        "graceS": "5",
    }  # fmt: skip
    properties = {
        Plane.WORKLOAD: live, Plane.SECRETS: {"files/db": "db 7"},
        Plane.CONFIGURATION: {"variables/greeting": "0123456789abcdef"},
    }  # fmt: skip

    found = shown_words(service, {1: properties, 2: properties})

    assert found[1][Plane.WORKLOAD] == live | {
        "environ/URL": "another", "environ/NEW": "another", "command": "another",
    }  # fmt: skip
    assert found[2][Plane.WORKLOAD]["environ/LEVEL"] == "not shown"  # no release of it is known
    assert found[1][Plane.SECRETS] == {"files/db": "db 7"}
    assert found[1][Plane.CONFIGURATION] == {"variables/greeting": "not shown"}
    assert "hunter2" not in str(found)


def test_files_of_a_configuration_are_not_said_to_differ_where_nothing_compares_them() -> None:
    hash_ = f"sha256:{'a' * 64}"
    service = service_with(
        command=["serve"], configuration={"hash": hash_}, configurationMode="live"
    )
    files = {"files/configuration.json": "0123456789abcdef"}

    def shown(hash_: str) -> Mapping[str, str]:
        properties = {Plane.CONFIGURATION: {"hash": hash_, **files}}
        return shown_words(service, {1: properties})[1][Plane.CONFIGURATION]

    assert shown(hash_) == {"hash": hash_, "files/configuration.json": "not shown"}
    assert shown("sha256:other")["hash"] == "another"


def test_of_a_service_whose_release_cannot_be_read_what_may_be_secret_is_not_shown() -> None:
    service = service_with()
    assert service.rows.release is not None
    row = replace(service.rows.release, component={"releaseRevision": 1, "environ": 5})
    damaged = replace(service, rows=replace(service.rows, release=row))

    found = shown_words(damaged, {1: {Plane.WORKLOAD: {"environ/A": "x", "version": "1"}}})

    assert found[1][Plane.WORKLOAD] == {"environ/A": "not shown", "version": "1"}


def test_of_a_service_whose_release_was_not_heard_of_what_may_be_secret_is_not_shown() -> None:
    unreleased = replace(service_with(), rows=EffectiveRows())

    found = shown_words(unreleased, {1: {Plane.WORKLOAD: {"environ/A": "x", "version": "1"}}})

    assert found[1][Plane.WORKLOAD] == {"environ/A": "not shown", "version": "1"}


def test_what_somebody_made_too_long_on_a_surface_is_cut() -> None:
    many = {f"environ/{number:04}": "x" for number in range(501)}
    long = {"environ/A": "x" * 3000}

    whole = live_revision(1, {Plane.WORKLOAD: {"version": "1"}})
    cut = [live_revision(1, {Plane.WORKLOAD: values}) for values in (many, long)]

    assert whole.is_whole
    assert [each.is_whole for each in cut] == [False, False]
    assert [len(each.properties["workload"]) for each in cut] == [500, 1]
    assert len(cut[1].properties["workload"]["environ/A"]) == 2048


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        pytest.param("?instance=nobody", "has no log of an instance 'nobody'", id="a-stranger"),
        pytest.param(f"?instance={'x' * 3000}", "has no log of an instance 'xxx", id="a-long-name"),
    ],
)
def test_a_log_that_is_not_there_says_which_are(query: str, sentence: str, asked: Asked) -> None:
    status, body = asked(lambda world: world.call("GET", f"{ROOT}/{service_of()}/logs{query}"))

    assert (status, body["error"]["code"]) == (404, "LogNotFound")
    assert sentence in body["error"]["message"]
    assert "; it has: module-web" in body["error"]["message"]


def test_the_log_of_a_service_without_an_instance_says_so() -> None:
    async def main() -> str:
        made = catalog()
        await made.hear_all(ended(1, [released()], at=EPOCH))
        with pytest.raises(LogNotFound) as refusal:
            await queries.get_logs(service_of(), made.bench.ctx(), made.app, instance=None, tail=1)
        return refusal.value.message

    assert run_virtual(main()) == f"service {service_of()} has no instance, so it has no log"


@pytest.mark.parametrize("rest", ["", "/history", "/dependencies", "/live", "/logs", "/health"])
def test_another_tenants_service_is_not_found(rest: str, asked: Asked) -> None:
    path = f"{ROOT}/{service_of()}{rest}"
    status, _ = asked(lambda world: world.call("GET", path, tenant="globex"))

    assert status == 404


def test_a_client_that_polls_by_etag_sees_each_scan(asked: Asked) -> None:
    async def ask(world: World) -> tuple[int, str, str]:
        shown = await world.send("GET", f"{ROOT}/{service_of()}")
        etag = {name.lower(): value for name, value in shown.headers}["etag"]
        await world.clock.sleep(300)
        path, headers = f"{ROOT}/{service_of()}", {"if-none-match": etag}
        again = await world.send("GET", path, headers=headers)
        body = json.loads(again.body or b"{}")
        return (
            again.status,
            body.get("lastObservedAt", ""),
            json.loads(shown.body)["lastObservedAt"],
        )

    status, seen_at, seen_before = asked(ask)

    assert status == 200
    assert seen_at > seen_before
