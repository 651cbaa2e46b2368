"""External events: buffered, in order, by name whatever its case (protocol rules 4.4, 6)."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from local_host.durable import records
from local_host.durable.client import CommandRefused
from tests.kit.task_hub import TaskHub, durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()


@app.activity_trigger(input_name="x")
def echo(x: str) -> str:
    return x


@app.orchestration_trigger(context_name="context")
def waits_once(context: Any) -> Steps:
    return (yield context.wait_for_external_event("Approval"))


@app.orchestration_trigger(context_name="context")
def waits_late(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=10))
    first = yield context.wait_for_external_event("Go")
    return first


@app.orchestration_trigger(context_name="context")
def waits_twice(context: Any) -> Steps:
    first = yield context.wait_for_external_event("Go")
    yield context.call_activity("echo", "between")
    second = yield context.wait_for_external_event("Go")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def races(context: Any) -> Steps:
    go = context.wait_for_external_event("Go")
    alarm = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    winner = yield context.task_any([go, alarm])
    if winner is go:
        if context.get_input() == "cancel":
            alarm.cancel()
        return "went"
    return "late"


@app.orchestration_trigger(context_name="context")
def continues(context: Any) -> Steps:
    got = yield context.wait_for_external_event("Go")
    if context.get_input() is None:
        context.continue_as_new("again")
        return None
    return [context.get_input(), got]


async def started(hub: TaskHub, name: str, given: Any = None) -> None:
    await hub.start(name, given)
    await hub.pass_time(1)


def test_an_event_from_the_client_arrives_decoded_once() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await started(hub, "waits_once")
            await hub.client.raise_event("i", "Approval", '"{\\"a\\": 1}"')
            return await hub.output()

    assert run_virtual(main()) == '{"a": 1}'


def test_an_event_that_comes_before_the_wait_is_kept() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await started(hub, "waits_late")
            await hub.client.raise_event("i", "Go", "1")
            return await hub.output()

    assert run_virtual(main()) == 1


def test_the_host_takes_a_name_in_another_case_but_the_library_goes_on_waiting() -> None:
    async def main() -> str:
        async with task_hub(app) as hub:
            await started(hub, "waits_once")
            await hub.client.raise_event("i", "APPROVAL", "1")
            await hub.pass_time()
            return hub.instance().status

    assert run_virtual(main()) == records.RUNNING


def test_two_events_for_two_waits_are_taken_in_order() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await started(hub, "waits_twice")
            for text in ("1", "2"):
                await hub.client.raise_event("i", "Go", text)
                await hub.pass_time(1)
            return await hub.output()

    assert run_virtual(main()) == [1, 2]


def test_an_uncanceled_timer_keeps_a_finished_race_running_until_it_fires() -> None:
    async def main(given: str) -> tuple[str, str]:
        async with task_hub(app) as hub:
            await started(hub, "races", given)
            await hub.client.raise_event("i", "Go", "1")
            await hub.pass_time(1)
            at_once = hub.instance().status
            await hub.pass_time(7200)
            return at_once, hub.instance().status

    assert run_virtual(main("leave")) == (records.RUNNING, records.COMPLETED)
    assert run_virtual(main("cancel")) == (records.COMPLETED, records.COMPLETED)


def test_an_event_behind_the_one_that_continues_as_new_goes_to_the_next_generation() -> None:
    async def main() -> Any:
        async with task_hub(app) as hub:
            await started(hub, "continues")
            await hub.client.suspend("i", "so that both come in one episode")
            await hub.client.raise_event("i", "Go", "1")
            await hub.client.raise_event("i", "Go", "2")
            await hub.client.resume("i", "")
            return await hub.output()

    assert run_virtual(main()) == ["again", 2]


@pytest.mark.parametrize(("instance_id", "status"), [("i", 410), ("nobody", 404)])
def test_an_event_for_a_finished_or_unknown_instance_is_refused(
    instance_id: str, status: int
) -> None:
    async def main() -> int:
        async with task_hub(app) as hub:
            await started(hub, "waits_once")
            await hub.client.raise_event("i", "Approval", "1")
            await hub.output()
            with pytest.raises(CommandRefused) as refused:
                await hub.client.raise_event(instance_id, "Approval", "1")
            return refused.value.status

    assert run_virtual(main()) == status
