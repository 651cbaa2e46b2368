"""A scan is Present, Absent or Unknown; only two complete ones make a service absent."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from function_apps.catalog.model.environment_scan import confirm_absences
from shared.surfaces.spec import RunOnce
from tests.catalog.inventory import Catalog, catalog
from tests.kit.told import WEB, component_of, ended, environment, released, run, vanish
from tests.kit.virtual_time import run_virtual

NINE = [f"module-m{number}" for number in range(9)]


async def watched(*modules: str) -> Catalog:
    made = catalog()
    await made.hear_all(environment(1), ended(1, [released(module) for module in modules]))
    for module in modules:
        await run(made.world, module)
    await made.sweep()
    made.bench.sent.messages.clear()
    return made


async def status(made: Catalog, module: str = WEB) -> str:
    head = next(each for each in await made.documents(module) if each.id == "service")
    return str(head.body["status"])


def seen_after(*acts: Callable[[Catalog], object], modules: tuple[str, ...] = (WEB,)) -> list[str]:
    """Return the status of the first module after each act and the sweep that follows it."""

    async def main() -> list[str]:
        made = await watched(*modules)
        found = []
        for act in acts:
            act(made)
            await made.sweep()
            found.append(await status(made, modules[0]))
        return found

    return run_virtual(main())


def nothing(_made: Catalog) -> None:
    """Let a sweep pass."""


def blind(made: Catalog) -> None:
    made.world.unreadable = "the surface is away"


def sighted(made: Catalog) -> None:
    made.world.unreadable = ""


def test_what_runs_as_it_should_is_running() -> None:
    assert seen_after(nothing) == ["Running"]


def test_one_scan_without_it_says_nothing_two_in_a_row_do() -> None:
    assert seen_after(lambda made: vanish(made.world, WEB), nothing) == ["Running", "Unavailable"]


def test_a_scan_that_shows_it_again_begins_the_count_anew() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        found = []
        for _ in range(3):
            vanish(made.world, WEB)
            await made.sweep()
            found.append(await status(made))
            await run(made.world, WEB)
            await made.sweep()
            found.append(await status(made))
        return found

    assert run_virtual(main()) == ["Running"] * 6


def test_a_scan_that_failed_in_between_does_not_count() -> None:
    def lose(made: Catalog) -> None:
        vanish(made.world, WEB)

    assert seen_after(lose, blind, sighted) == ["Running", "Running", "Unavailable"]


def test_many_at_once_need_a_confirmation() -> None:
    def lose(made: Catalog) -> None:
        vanish(made.world, *NINE[:3])

    assert seen_after(lose, nothing, nothing, modules=tuple(NINE)) == [
        "Running",
        "Running",
        "Unavailable",
    ]


def test_an_environment_without_a_site_shows_nothing_and_is_confirmed_like_a_scan() -> None:
    def lose(made: Catalog) -> None:
        made.world.sites.clear()

    assert seen_after(lose, nothing) == ["Running", "Unavailable"]


def test_a_surface_that_cannot_be_read_changes_nothing_until_it_is_stale() -> None:
    assert seen_after(blind, nothing, nothing, nothing) == [
        "Running", "Running", "Running", "Unknown",
    ]  # fmt: skip


def test_a_job_that_is_not_there_any_more_has_run() -> None:
    async def main() -> list[str]:
        made = catalog()
        job = released(WEB, runsOnce={}, port=None, probes={}, replicas=1)
        await made.hear_all(environment(1), ended(1, [job]))
        await run(made.world, replicas=1, port=None, runs_once=RunOnce(60))
        await made.sweep()
        before = await status(made)
        vanish(made.world, WEB)
        await made.sweep()
        await made.sweep()
        return [before, await status(made)]

    assert run_virtual(main()) == ["Running", "Running"]


def torn(made: Catalog) -> None:
    made.world.torn.add(component_of())


def whole(made: Catalog) -> None:
    made.world.torn.clear()


def test_a_service_that_a_scan_could_not_read_is_as_it_was_until_that_is_stale() -> None:
    assert seen_after(torn, nothing, nothing, nothing, whole) == [
        "Running", "Running", "Running", "Unknown", "Running",
    ]  # fmt: skip


def test_what_could_not_be_read_is_not_missing_however_often() -> None:
    def lose(made: Catalog) -> None:
        vanish(made.world, WEB)

    assert seen_after(torn, lose, nothing, whole, nothing) == ["Running"] * 4 + ["Unavailable"]


def test_a_service_that_cannot_be_read_hides_no_other() -> None:
    async def main() -> list[str]:
        made = await watched(WEB, "module-api")
        torn(made)
        vanish(made.world, "module-api")
        await made.sweep()
        await made.sweep()
        return [await status(made, module) for module in (WEB, "module-api")]

    assert run_virtual(main()) == ["Running", "Unavailable"]


def test_a_stale_service_is_itself_again_once_it_is_seen() -> None:
    assert seen_after(blind, nothing, nothing, nothing, sighted)[-2:] == ["Unknown", "Running"]


def test_an_instance_less_is_degraded_and_none_ready_is_unavailable() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        await run(made.world, WEB, replicas=1)
        await made.sweep()
        found = [await status(made)]
        await run(made.world, WEB, replicas=0)
        await made.sweep()
        return [*found, await status(made)]

    assert run_virtual(main()) == ["Degraded", "Unavailable"]


def test_a_sweep_that_finds_everything_as_it_was_tells_nothing_and_writes_no_history() -> None:
    async def main() -> tuple[int, int, int]:
        made = await watched(WEB)
        before = len(await made.documents())
        for _ in range(10):
            await made.sweep()
        return before, len(await made.documents()), len(made.bench.sent.bodies())

    before, after, told = run_virtual(main())

    assert (after, told) == (before, 0)


@pytest.mark.parametrize(
    ("missing", "absent", "total", "more", "certain"),
    [
        pytest.param({}, ["a"], 10, {"a": 1}, [], id="the-first-time"),
        pytest.param({"a": 1}, ["a"], 10, {"a": 0}, ["a"], id="the-second-time"),
        pytest.param({"a": 1}, [], 10, {}, [], id="back-again"),
        pytest.param({}, ["a", "b"], 10, {"a": 1, "b": 1}, [], id="two-are-not-many"),
        pytest.param({}, ["a", "b", "c"], 30, {"a": 1, "b": 1, "c": 1}, [], id="a-tenth-is-not"),
        pytest.param({}, ["a", "b", "c"], 29, {"a": 2, "b": 2, "c": 2}, [], id="more-than-a-tenth"),
        pytest.param(
            {"a": 2, "b": 2, "c": 2}, ["a", "b", "c"], 9, {"a": 1, "b": 1, "c": 1}, [],
            id="many-the-second-time",
        ),
        pytest.param(
            {"a": 1, "b": 1, "c": 1}, ["a", "b"], 9, {"a": 0, "b": 0}, ["a", "b"],
            id="many-the-third-time",
        ),
        pytest.param({"a": 1}, ["a", "b"], 9, {"a": 0, "b": 1}, ["a"], id="each-by-itself"),
    ],
)  # fmt: skip
def test_absence_is_weighed(
    missing: dict[str, int], absent: list[str], total: int, more: dict[str, int], certain: list[str]
) -> None:
    assert confirm_absences(missing, absent, total) == (more, frozenset(certain))


def test_a_restart_is_counted_per_instance_and_published() -> None:
    async def main() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        made = await watched(WEB)
        made.world.crash(component_of(), f"{WEB}-1-0", exit_code=3)
        await made.sweep()
        await made.sweep()
        head = next(each for each in await made.documents(WEB) if each.id == "service")
        (event,) = made.bench.sent.bodies("RuntimeInventoryUpdated")
        kept = [(each["restarts"], each["lastExit"]) for each in head.body["instances"]]
        told = [(each["restarts"], each["lastExit"]) for each in event["payload"]["instances"]]
        return kept, told

    kept, told = run_virtual(main())

    assert kept == told == [(1, "exit status 3"), (0, "")]


def test_why_an_instance_is_not_ready_is_published() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        made.world.lost.add(f"{WEB}-1-0")
        artifact = next(iter(made.world.component(component_of()).revisions.values())).spec.artifact
        behaviour = made.world.behaviour(artifact)
        refused = "GET /health answered 503"
        made.world.behaviours[artifact] = replace(behaviour, unready_because=refused)
        await made.sweep()
        event = made.bench.sent.bodies("RuntimeInventoryUpdated")[-1]
        return [each["reason"] for each in event["payload"]["instances"]]

    assert run_virtual(main()) == ["Starting: GET /health answered 503", ""]
