"""Random orchestrations take the same decisions whether their generator stays alive or not."""

import json
from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from local_host.durable import history, library_patches
from local_host.durable.functions import ORCHESTRATION, DurableFunctions
from local_host.durable.history import Event, EventType
from local_host.durable.history_replay import HistoryReplay
from local_host.durable.library_replay import (
    FAILURE_LABEL,
    EpisodeOutcome,
    LiveReplay,
    TextReplay,
    read_answer,
)
from local_host.durable.settings import DurableSettings
from tests.kit.task_hub import TaskHub, durable_app, indexed, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
Statement = tuple[Any, ...]
app = durable_app()
failures: dict[str, int] = {}
EVENTS = ("Alpha", "Beta")


@app.activity_trigger(input_name="x")
def work(x: dict) -> Any:  # type: ignore[type-arg]  # the worker refuses dict[str, Any]
    left = failures.setdefault(x["key"], x["fails"])
    if left > 0:
        failures[x["key"]] = left - 1
        raise ValueError(x["key"])
    return x["key"]


@app.entity_trigger(context_name="context")
def tally(context: Any) -> None:
    context.set_state(context.get_state(lambda: 0) + 1)
    context.set_result(context.get_state())


@app.orchestration_trigger(context_name="context")
def program(context: Any) -> Steps:
    given = context.get_input()
    log: list[Any] = []
    for number, statement in enumerate(given["body"]):
        prefix = f"{given['key']}.{number}"
        try:
            log.append((yield from perform(context, statement, prefix)))
        except Exception as problem:
            log.append(str(problem)[:60])
            if given["strict"]:
                raise
    return log


def perform(context: Any, statement: Statement, key: str) -> Steps:  # noqa: PLR0911  an interpreter
    match statement:
        case ["status", value]:
            context.set_custom_status(value)
            return value
        case ["uuid"]:
            return context.new_uuid()
        case ["time"]:
            return context.current_utc_datetime.isoformat()
        case ["signal"]:
            context.signal_entity(df.EntityId("tally", "t"), "up", 1)
            return "signaled"
        case ["later", first, second]:
            # The second task is created before the first is awaited, and awaited after it.
            one, two = task_of(context, first, key + "a"), task_of(context, second, key + "b")
            got = yield one
            return [shown(got), shown((yield two))]
        case ["any", children, cancels]:
            tasks = [task_of(context, child, f"{key}{i}") for i, child in enumerate(children)]
            winner = yield context.task_any(tasks)
            for task in tasks:
                if cancels and hasattr(task, "cancel") and not task.is_completed:
                    task.cancel()
            return tasks.index(winner)
        case ["any-then-rest", children]:
            tasks = [task_of(context, child, f"{key}{i}") for i, child in enumerate(children)]
            winner = yield context.task_any(tasks)
            rest = [task for task in tasks if task is not winner]
            return [tasks.index(winner), shown((yield context.task_all(rest)))]
        case _:
            return shown((yield task_of(context, statement, key)))


def task_of(context: Any, statement: Statement, key: str) -> Any:  # noqa: PLR0911  likewise
    match statement:
        case ["work", fails]:
            return context.call_activity("work", {"key": key, "fails": fails})
        case ["retry", fails, attempts]:
            options = df.RetryOptions(1000, attempts)
            return context.call_activity_with_retry("work", options, {"key": key, "fails": fails})
        case ["timer", delay_s]:
            return context.create_timer(context.current_utc_datetime + timedelta(seconds=delay_s))
        case ["event", name]:
            return context.wait_for_external_event(name)
        case ["entity"]:
            return context.call_entity(df.EntityId("tally", "t"), "up", 1)
        case ["sub", body]:
            given = {"body": body, "key": key, "strict": True}
            return context.call_sub_orchestrator("program", given)
        case ["all", children]:
            return context.task_all(
                [task_of(context, child, f"{key}{i}") for i, child in enumerate(children)]
            )
    raise AssertionError(statement)


def shown(result: Any) -> Any:
    return result if isinstance(result, str | int | float | list | dict | None) else repr(result)


leaves = st.one_of(
    st.tuples(st.just("work"), st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("retry"), st.integers(0, 3), st.integers(1, 3)),
    st.tuples(st.just("timer"), st.sampled_from([0, 1, 2, 30, 8 * 86400])),
    st.tuples(st.just("event"), st.sampled_from(EVENTS)),
    st.tuples(st.just("entity")),
)
some_leaves = st.lists(leaves, min_size=1, max_size=3)
tasks = st.one_of(leaves, st.tuples(st.just("all"), some_leaves))
statements = st.one_of(
    tasks,
    st.tuples(st.just("status"), st.sampled_from([0, "a", {"b": 1}])),
    st.tuples(st.just("uuid")),
    st.tuples(st.just("time")),
    st.tuples(st.just("signal")),
    st.tuples(st.just("later"), leaves, leaves),
    st.tuples(st.just("any"), st.lists(tasks, min_size=1, max_size=3), st.booleans()),
    st.tuples(st.just("any-then-rest"), st.lists(leaves, min_size=2, max_size=3)),
    st.tuples(st.just("sub"), some_leaves),
)
programs = st.fixed_dictionaries(
    {
        "body": st.lists(statements, min_size=1, max_size=6),
        "key": st.just("k"),
        "strict": st.booleans(),
    }
)
raised = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 1.5, 40.0]), st.sampled_from((*EVENTS, "ALPHA"))),
    max_size=4,
)


def body(*statements: Statement) -> dict[str, Any]:
    return {"body": list(statements), "key": "k", "strict": False}


CANCELED_LATER = body(("any", [("retry", 1, 3), ("timer", 30)], True), ("work", 0))
"""Canceling the timer makes the walk complete the race from the start: ids shift."""
AWAITED_LATER = body(("any-then-rest", [("work", 0), ("retry", 1, 3)]), ("work", 0))
"""The race was over while the orchestrator still waited for what it had scheduled: ids shift."""


def run(given: Any, events: Sequence[tuple[float, str]], live_max: int) -> TaskHub:
    """Run the program to where nothing moves any more."""

    async def main() -> TaskHub:
        failures.clear()
        async with task_hub(app, settings=DurableSettings(live_max=live_max)) as hub:
            await hub.start("program", given)
            before_s = 0.0
            for at_s, name in sorted(events):
                await hub.pass_time(at_s - before_s)
                before_s = at_s
                if not hub.instance().is_finished:
                    await hub.client.raise_event("i", name, json.dumps(name))
            await hub.pass_time()
            return hub

    return run_virtual(main())


def stock(hub: TaskHub, events: list[Event]) -> EpisodeOutcome:
    """Return what the library's own handler says about *events*, as JSON text in and out."""
    context = json.dumps({**head(hub)(), "history": events})
    try:
        return read_answer(find_program()(func.OrchestrationContext(context)))
    except Exception as problem:  # noqa: BLE001  the label tells them apart
        _, label, answer = str(problem).partition(FAILURE_LABEL)
        if not label:
            return EpisodeOutcome((), defect=f"{type(problem).__name__}: {problem}")
        return read_answer(answer)


def functions() -> DurableFunctions:
    return DurableFunctions(indexed(app).functions)


def head(hub: TaskHub) -> Any:
    instance = hub.instance()
    return lambda: {
        "input": json.loads(instance.input or "null"),
        "instanceId": instance.id,
        "isReplaying": False,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "longRunningTimerIntervalDuration": "3.00:00:00",
        "maximumShortTimerDuration": "6.00:00:00",
    }


def episodes(events: list[Event]) -> list[int]:
    """Return where each episode's new events end: before its own decisions."""
    ends: list[int] = []
    for count, item in enumerate(events, 1):
        is_decision = item["EventType"] in DECIDED
        if item["EventType"] == EventType.ORCHESTRATOR_STARTED:
            ends.append(count)
        elif not is_decision:
            ends[-1] = count
    return ends


DECIDED = (
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
    EventType.EVENT_SENT,
    EventType.EXECUTION_COMPLETED,
    EventType.ORCHESTRATOR_COMPLETED,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, raised)
@example(CANCELED_LATER, [])
@example(AWAITED_LATER, [])
def test_evicting_after_every_episode_changes_nothing(given: Any, events: Any) -> None:
    kept, evicted = run(given, events, 1000), run(given, events, 0)

    assert kept.events() == evicted.events()
    assert kept.instance() == evicted.instance()


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, raised)
@example(CANCELED_LATER, [])
@example(AWAITED_LATER, [])
def test_each_episode_gives_the_actions_of_the_library_as_shipped(given: Any, events: Any) -> None:
    hub = run(given, events, 1000)

    history_ = hub.events()
    live = LiveReplay(find_program())
    for end in episodes(history_):
        so_far = [dict(item) for item in history_[:end]]
        outcome, expected = live.feed(head(hub), so_far), stock(hub, so_far)
        assert outcome.defect == expected.defect
        if outcome.defect is None:
            assert list(outcome.actions) == list(expected.actions)
            assert (outcome.is_done, outcome.output) == (expected.is_done, expected.output)
            assert (outcome.error, outcome.custom_status) == (
                expected.error,
                expected.custom_status,
            )


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, raised)
@example(CANCELED_LATER, [])
@example(AWAITED_LATER, [])
def test_a_walk_that_goes_on_decides_as_one_from_the_beginning(given: Any, events: Any) -> None:
    hub = run(given, events, 1000)

    history_, text = hub.events(), TextReplay(find_program())
    going_on, live = walk(hub), LiveReplay(find_program())
    for end in episodes(history_):
        outcome = text.feed(head(hub), history_[:end])
        if outcome.defect is not None:
            return
        anew, so_far = walk(hub), live.feed(head(hub), history_[:end])
        going_on.proceed(history_[:end], so_far.actions, is_amended=so_far.is_amended)
        anew.proceed(history_[:end], outcome.actions, is_amended=False)
        assert going_on.refusal == anew.refusal
        if anew.refusal is None:
            assert going_on.is_settled == anew.is_settled
            assert going_on.open_calls == anew.open_calls


def find_program() -> Any:
    function = functions().find(ORCHESTRATION, "program")
    assert function is not None
    return function.handler


def walk(hub: TaskHub) -> HistoryReplay:
    return HistoryReplay(hub.instance().execution, ["i"], functions(), DurableSettings())


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00.0000000Z", "2026-11-24T12:55:45.1234567Z", "2024-02-29T23:59:59Z"],
)
def test_timestamps_are_read_as_dateutil_reads_them(text: str) -> None:
    assert history.instant(text) == library_patches._slowly(text)
    assert str(library_patches._parse(text)) == str(library_patches._slowly(text))


class Custom:
    """What the library writes and rebuilds with its own envelope."""

    def __init__(self, number: int) -> None:
        self.number = number

    def to_json(self) -> int:
        return self.number

    @classmethod
    def from_json(cls, number: int) -> "Custom":
        return cls(number)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50, deadline=None)
@given(json_values)
def test_plain_values_are_written_and_read_as_the_library_does(value: Any) -> None:
    assert library_patches._dumps(value) == library_patches.codec_module.df_dumps(value)
    assert library_patches._loads(json.dumps(value)) == library_patches.codec_module.df_loads(
        json.dumps(value)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("marker", ["__class__", "\\u005f\\u005fclass__"])
def test_custom_objects_are_rebuilt_wherever_they_stand(marker: str) -> None:
    text = library_patches._dumps({"a": [Custom(3)]})

    assert text == library_patches.codec_module.df_dumps({"a": [Custom(3)]})
    assert library_patches._loads(text.replace("__class__", marker))["a"][0].number == 3
