"""The engine may die around any commit: another one over the same database ends the same way."""

import json
from collections.abc import Generator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import pytest

from local_host.durable import records
from local_host.durable.history import EventType
from local_host.durable.records import AlreadyExists
from tests.kit.task_hub import (
    Crashed,
    CrashingDatabase,
    TaskHub,
    durable_app,
    memory,
    task_hub,
)
from tests.kit.virtual_time import LoopClock, run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
done: set[str] = set()
attempts: dict[str, int] = {}


@app.activity_trigger(input_name="x")
def record(x: str) -> str:
    done.add(x)
    return x


@app.activity_trigger(input_name="x")
def fails_at_three_o_clock(x: str) -> str:
    if "recovered" not in done:
        raise ValueError(x)
    return x


@app.entity_trigger(context_name="context")
def register(context: Any) -> None:
    state = context.get_state(list)
    if context.get_input() not in state:
        context.set_state([*state, context.get_input()])
    context.set_result(len(context.get_state(list)))


@app.orchestration_trigger(context_name="context")
def everything(context: Any) -> Steps:
    generation = context.get_input()
    tasks = [context.call_activity("record", f"{generation}-{n}") for n in range(3)]
    yield context.task_all(tasks)
    context.set_custom_status(generation)
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    options = df.RetryOptions(1000, 2)
    try:
        yield context.call_activity_with_retry("fails_at_three_o_clock", options, "no")
    except Exception:  # noqa: BLE001  the library raises nothing narrower
        yield context.call_activity("record", f"{generation}-caught")
    inner = yield context.call_sub_orchestrator("child", generation)
    entity = df.EntityId("register", "r")
    context.signal_entity(entity, "add", f"signal {generation}")
    count = yield context.call_entity(entity, "add", f"call {generation}")
    if generation < 2:
        context.continue_as_new(generation + 1)
        return None
    go = context.wait_for_external_event("Go")
    alarm = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    winner = yield context.task_any([go, alarm])
    if winner is go:
        alarm.cancel()
    return [inner, count, winner is go]


@app.orchestration_trigger(context_name="context")
def child(context: Any) -> Steps:
    given = context.get_input()
    yield context.call_activity("record", f"child {given}")
    return f"inner {given}"


async def carry_on(hub: TaskHub) -> None:
    """Do what a client does that repeats its commands until they are answered."""
    with suppress(AlreadyExists):
        await hub.start("everything", 1)
    await hub.pass_time(300)
    if not any(e["Name"] == "Go" for e in hub.events("i", EventType.EVENT_RAISED)):
        await hub.client.raise_event("i", "Go", json.dumps("go"))
    await hub.pass_time(60)


def run(crash_at: int | None, *, after: bool) -> tuple[bool, Any]:
    """Return whether the crash came, and the end state."""

    async def main() -> tuple[bool, Any]:
        done.clear()
        database = memory()
        has_crashed = False
        if crash_at is not None:
            crashing = CrashingDatabase(database, crash_at, after=after)
            hub = TaskHub(app, database=crashing)
            await hub.engine.start()
            with suppress(Crashed):
                await carry_on(hub)
            has_crashed = crashing.has_crashed
            hub.engine.kill()
            await hub.pass_time(0)
        async with task_hub(app, database=database, seed=2) as hub:
            if hub.client.status("i") is None or not hub.instance().is_finished:
                await carry_on(hub)
            state = hub.client.entity_state("register", "r")
            instance = hub.instance()
            kinds = [e["EventType"] for e in hub.events() if e["EventType"] not in BORDERS]
            children = [i.status for i in hub.client.select() if i.name == "child"]
            end = (instance.status, instance.output, instance.custom_status, set(done))
            return has_crashed, (end, sorted(json.loads(state or "[]")), kinds, children)

    return run_virtual(main())


BORDERS = (EventType.ORCHESTRATOR_STARTED, EventType.ORCHESTRATOR_COMPLETED)


@pytest.mark.parametrize("after", [False, True], ids=["before-the-commit", "after-the-commit"])
def test_a_crash_around_any_commit_changes_nothing_in_the_end(*, after: bool) -> None:
    _, undisturbed = run(None, after=after)
    assert undisturbed[0][0] == records.COMPLETED

    crash_at, crashed = 1, True
    while crashed:
        crashed, end = run(crash_at, after=after)
        assert end == undisturbed, f"crash at commit {crash_at}"
        crash_at += 1
    assert crash_at > 30


def test_an_activity_that_was_running_runs_again_and_its_first_answer_is_not_needed() -> None:
    async def main() -> tuple[Any, Any]:
        attempts.clear()
        database = memory()
        first = TaskHub(slow_app, database=database)
        await first.engine.start()
        await first.start("slowly")
        await first.pass_time(1)
        first.engine.kill()
        await first.pass_time(0)
        async with task_hub(slow_app, database=database) as hub:
            return await hub.output(), attempts["slow"]

    assert run_virtual(main()) == ("done", 2)


@pytest.mark.parametrize(("grace_s", "runs"), [(120.0, 1), (10.0, 2)])
def test_a_stop_lets_what_runs_finish_within_its_grace(grace_s: float, runs: int) -> None:
    async def main() -> tuple[Any, int]:
        attempts.clear()
        database = memory()
        first = TaskHub(slow_app, database=database)
        await first.engine.start()
        await first.start("slowly")
        await first.pass_time(1)
        await first.engine.stop(grace_s)
        async with task_hub(slow_app, database=database) as hub:
            return await hub.output(), attempts["slow"]

    assert run_virtual(main()) == ("done", runs)


slow_app = durable_app()


@slow_app.activity_trigger(input_name="x")
async def slow(x: str) -> str:
    attempts["slow"] = attempts.get("slow", 0) + 1
    await LoopClock().sleep(60)
    return x


@slow_app.orchestration_trigger(context_name="context")
def slowly(context: Any) -> Steps:
    return (yield context.call_activity("slow", "done"))
