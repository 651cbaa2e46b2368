"""Where library and extension disagree in Azure, they do here (azure-functions-durable 1.7.0).

Seen in runs of the library as shipped; the host's side from OutOfProcOrchestrationShim and
TaskOrchestrationContext.
https://github.com/Azure/azure-functions-durable-extension
https://github.com/Azure/azure-functions-durable-python/issues/295
"""

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from local_host.durable import records
from tests.kit.task_hub import TaskHub, durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
started: list[str] = []
left: dict[str, int] = {}


@app.activity_trigger(input_name="x")
async def act(x: str) -> str:
    started.append(x)
    if left.get(x, 0) > 0:
        left[x] -= 1
        raise ValueError(x)
    return x


@app.orchestration_trigger(context_name="context")
def two_waits_of_one_name(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=10))
    first = yield context.wait_for_external_event("Go")
    second = yield context.wait_for_external_event("Go")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def open_waits_of_one_name(context: Any) -> Steps:
    first, second = context.wait_for_external_event("Go"), context.wait_for_external_event("Go")
    winner = yield context.task_any([first, second])
    return "first" if winner is first else "second"


@app.orchestration_trigger(context_name="context")
def all_inside_any(context: Any) -> Steps:
    both = context.task_all(
        [context.call_activity("act", "fails"), context.call_activity("act", "fine")]
    )
    alarm = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([both, alarm])
    yield context.call_activity("act", "afterwards")


@app.orchestration_trigger(context_name="context")
def empty_fan_out(context: Any) -> Steps:
    return [(yield context.task_all([])), (yield context.task_any([]))]


@app.orchestration_trigger(context_name="context")
def cancels_a_long_timer(context: Any) -> Steps:
    go = context.wait_for_external_event("Go")
    alarm = context.create_timer(context.current_utc_datetime + timedelta(days=20))
    yield context.task_any([go, alarm])
    alarm.cancel()
    return "done"


@app.orchestration_trigger(context_name="context")
def never_yields_its_task(context: Any) -> Steps:
    context.call_activity("act", "created only")
    yield context.call_activity("act", "yielded")


@app.orchestration_trigger(context_name="context")
def goes_on_after_the_first_failure(context: Any) -> Steps:
    slow = context.call_sub_orchestrator("sleeps")
    try:
        yield context.task_all([context.call_activity("act", "fails"), slow])
    except Exception:  # noqa: BLE001  the library raises nothing narrower
        yield context.call_activity("act", "afterwards")


@app.orchestration_trigger(context_name="context")
def sleeps(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))


@app.orchestration_trigger(context_name="context")
def races_a_retry_and_cancels(context: Any) -> Steps:
    tried = context.call_activity_with_retry("act", df.RetryOptions(1000, 3), "fails")
    alarm = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    yield context.task_any([tried, alarm])
    alarm.cancel()
    yield context.call_activity("act", "afterwards")


@app.orchestration_trigger(context_name="context")
def reads_its_input(context: Any) -> Any:
    return context.get_input()


def after(hub_work: Any, name: str, **failures: int) -> TaskHub:
    async def main() -> TaskHub:
        started.clear()
        left.clear()
        left.update(failures)
        async with task_hub(app) as hub:
            await hub.start(name)
            await hub.pass_time(1)
            await hub_work(hub)
            return hub

    return run_virtual(main())


async def nothing(hub: TaskHub) -> None:
    await hub.pass_time()


def test_one_early_event_is_delivered_to_every_later_wait_but_the_host_waits_for_another() -> None:
    async def main(hub: TaskHub) -> None:
        await hub.client.raise_event("i", "Go", "1")
        await hub.pass_time()

    hub = after(main, "two_waits_of_one_name")

    assert hub.instance().status == records.RUNNING


def test_of_two_open_waits_of_one_name_the_library_serves_the_last() -> None:
    async def main(hub: TaskHub) -> None:
        await hub.client.raise_event("i", "Go", "1")
        await hub.pass_time(1)

    assert after(main, "open_waits_of_one_name").instance().output == '"second"'


def test_a_failure_in_task_all_inside_task_any_kills_the_orchestration() -> None:
    hub = after(nothing, "all_inside_any", fails=1)

    assert hub.instance().status == records.FAILED
    assert "does not have pending sub-task" in (hub.instance().output or "")


def test_empty_fan_outs_give_none_at_once() -> None:
    assert after(nothing, "empty_fan_out").instance().output == "[null, null]"


def test_a_canceled_timer_of_more_than_six_days_holds_the_instance_until_its_hop_fires() -> None:
    async def main(hub: TaskHub) -> None:
        await hub.client.raise_event("i", "Go", "1")
        await hub.pass_time(2 * 86400)
        assert hub.instance().status == records.RUNNING
        await hub.pass_time(2 * 86400)

    assert after(main, "cancels_a_long_timer").instance().status == records.COMPLETED


def test_a_task_that_is_never_yielded_is_never_scheduled() -> None:
    after(nothing, "never_yields_its_task")

    assert started == ["yielded"]


def test_what_follows_a_failed_task_all_is_scheduled_when_all_its_children_have_ended() -> None:
    async def main(hub: TaskHub) -> None:
        await hub.pass_time(60)
        assert started == ["fails"]
        await hub.pass_time(3600)

    after(main, "goes_on_after_the_first_failure", fails=1)

    assert started == ["fails", "afterwards"]


def test_a_retry_in_a_race_whose_timer_is_canceled_is_non_deterministic() -> None:
    hub = after(nothing, "races_a_retry_and_cancels", fails=1)

    assert hub.instance().status == records.FAILED
    assert "Non-Deterministic workflow detected" in (hub.instance().output or "")


def test_an_input_that_is_a_bare_list_makes_get_input_raise() -> None:
    async def main() -> str:
        async with task_hub(app) as hub:
            await hub.client.start("reads_its_input", "i", json.dumps([1, 2]))
            await hub.output()
            return hub.instance().status

    assert run_virtual(main()) == records.FAILED
