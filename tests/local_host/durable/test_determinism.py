"""Code that changed under a running instance is found by the host (rule 5), not by the library."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from local_host.durable import records
from tests.kit.task_hub import TaskHub, durable_app, memory, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]


def version(body: Callable[[Any], Steps]) -> Any:
    """Return an app whose orchestrator `work` is *body*."""
    app = durable_app()

    @app.activity_trigger(input_name="x")
    def one(x: Any) -> Any:
        return x

    @app.activity_trigger(input_name="x")
    def two(x: Any) -> Any:
        return x

    def work(context: Any) -> Steps:
        return (yield from body(context))

    app.orchestration_trigger(context_name="context")(work)
    return app


def original(context: Any) -> Steps:
    first = yield context.call_activity("one", 1)
    second = yield context.wait_for_external_event("Go")
    return [first, second]


def renamed_activity(context: Any) -> Steps:
    first = yield context.call_activity("two", 1)
    second = yield context.wait_for_external_event("Go")
    return [first, second]


def timer_instead(context: Any) -> Steps:
    yield context.create_timer(context.current_utc_datetime)
    second = yield context.wait_for_external_event("Go")
    return [None, second]


def without_the_call(context: Any) -> Steps:
    second = yield context.wait_for_external_event("Go")
    return [None, second]


def other_case(context: Any) -> Steps:
    first = yield context.call_activity("ONE", 1)
    second = yield context.wait_for_external_event("Go")
    return [first, second]


def upgraded(body: Callable[[Any], Steps]) -> TaskHub:
    """Start under the original, restart under *body*, raise the event."""

    async def main() -> TaskHub:
        database = memory()
        async with task_hub(version(original), database=database) as hub:
            await hub.start("work")
            await hub.pass_time(1)
        async with task_hub(version(body), database=database) as hub:
            await hub.client.raise_event("i", "Go", "2")
            await hub.output()
            return hub

    return run_virtual(main())


def test_the_same_code_goes_on_after_a_restart() -> None:
    assert upgraded(original).instance().output == "[1, 2]"


@pytest.mark.parametrize("body", [renamed_activity, timer_instead, without_the_call])
def test_a_changed_orchestrator_fails_as_non_deterministic(body: Callable[[Any], Steps]) -> None:
    hub = upgraded(body)

    assert hub.instance().status == records.FAILED
    assert "Non-Deterministic workflow detected" in (hub.instance().output or "")
    assert "'one'" in (hub.instance().output or "")


def test_the_case_of_a_name_is_no_change() -> None:
    assert upgraded(other_case).instance().output == "[1, 2]"
