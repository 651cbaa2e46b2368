"""Retries take the ids that the library expects; timers are durable and come in hops."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import pytest

from local_host.durable import records
from local_host.durable.history import EventType
from tests.kit.task_hub import TaskHub, durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
left: dict[str, int] = {}


@app.activity_trigger(input_name="x")
def flaky(x: str) -> str:
    if left.get(x, 0) > 0:
        left[x] -= 1
        raise ValueError(x)
    return x


@app.orchestration_trigger(context_name="context")
def retrying(context: Any) -> Steps:
    return (yield context.call_activity_with_retry("flaky", df.RetryOptions(5000, 3), "a"))


@app.orchestration_trigger(context_name="context")
def retrying_side_by_side(context: Any) -> Steps:
    options = df.RetryOptions(1000, 3)
    names = ("a", "b", "c")
    tasks = [context.call_activity_with_retry("flaky", options, name) for name in names]
    results = yield context.task_all(tasks)
    last = yield context.call_activity("flaky", "last")
    return [*results, last]


@app.orchestration_trigger(context_name="context")
def failing_child(context: Any) -> Steps:
    yield context.call_activity("flaky", "child")


@app.orchestration_trigger(context_name="context")
def retrying_a_child(context: Any) -> Steps:
    options = df.RetryOptions(1000, 2)
    yield context.call_sub_orchestrator_with_retry("failing_child", options)
    return "done"


@app.orchestration_trigger(context_name="context")
def sleeping(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime + timedelta(days=context.get_input()))
    return "awake"


@app.orchestration_trigger(context_name="context")
def sleeping_until_yesterday(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime - timedelta(days=1))
    return "awake"


def run(name: str, given: Any = None, **failures: int) -> tuple[Any, TaskHub]:
    async def main() -> tuple[Any, TaskHub]:
        left.clear()
        left.update(failures)
        async with task_hub(app) as hub:
            return await hub.result(name, given), hub

    return run_virtual(main())


def ids(hub: TaskHub) -> list[tuple[str, int]]:
    words = {EventType.TASK_SCHEDULED: "call", EventType.TIMER_CREATED: "timer"}
    return [(words[e["EventType"]], e["EventId"]) for e in hub.events("i", *words)]


def test_each_retry_waits_on_a_timer_and_takes_new_ids() -> None:
    output, hub = run("retrying", a=2)

    assert output == "a"
    assert ids(hub) == [("call", 0), ("timer", 1), ("call", 2), ("timer", 3), ("call", 4)]


def test_the_last_failure_takes_one_more_timer_that_is_due_at_once() -> None:
    output, hub = run("retrying", a=9)

    assert hub.instance().status == records.FAILED
    assert "ValueError: a" in output
    assert ids(hub)[-2:] == [("call", 4), ("timer", 5)]
    last = hub.events("i", EventType.TIMER_CREATED)[-1]
    assert last["FireAt"] == last["Timestamp"]


def test_retries_side_by_side_bind_each_result_to_its_own_call() -> None:
    output, _ = run("retrying_side_by_side", a=1, b=2, c=0)

    assert output == ["a", "b", "c", "last"]


def test_a_sub_orchestration_is_retried_under_a_new_instance_id() -> None:
    output, hub = run("retrying_a_child", child=1)

    created = hub.events("i", EventType.SUB_ORCHESTRATION_CREATED)
    execution = hub.instance().execution
    assert output == "done"
    assert [e["InstanceId"] for e in created] == [f"{execution}:0", f"{execution}:2"]


@pytest.mark.parametrize(
    ("days", "hops"),
    [
        pytest.param(6, 1, id="six-days-are-one-timer"),
        pytest.param(7, 2, id="longer-ones-come-in-hops-of-three-days"),
        pytest.param(10, 3, id="until-six-or-less-are-left"),
    ],
)
def test_long_timers(days: int, hops: int) -> None:
    output, hub = run("sleeping", days)

    assert output == "awake"
    assert len(hub.events("i", EventType.TIMER_CREATED)) == hops
    assert hub.instance().updated_at[:10] == f"2026-01-{1 + days:02d}"


def test_a_timer_that_is_already_due_fires_at_once() -> None:
    output, hub = run("sleeping_until_yesterday")

    assert output == "awake"
    assert hub.instance().updated_at[:10] == "2026-01-01"
