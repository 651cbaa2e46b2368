"""Entities: calls, signals, state, errors; one batch at a time, in order."""

import json
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import pytest

from local_host.durable.client import CommandRefused
from tests.kit.task_hub import durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
COUNTER = df.EntityId("Counter", "a")


@app.entity_trigger(context_name="context")
def counter(context: Any) -> None:
    count = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(count + context.get_input())
        case "get":
            context.set_result(count)
        case "delete":
            context.destruct_on_exit()
        case "fail":
            context.set_state(count + 100)
            raise ValueError("refused")


@app.orchestration_trigger(context_name="context")
def adds(context: Any) -> Steps:
    for number in context.get_input():
        context.signal_entity(COUNTER, "add", number)
    return (yield context.call_entity(COUNTER, "get"))


@app.orchestration_trigger(context_name="context")
def fails(context: Any) -> Steps:
    try:
        yield context.call_entity(COUNTER, "fail")
    except Exception as problem:  # noqa: BLE001  the library raises nothing narrower
        return [str(problem), (yield context.call_entity(COUNTER, "get"))]


@app.orchestration_trigger(context_name="context")
def calls_nobody(context: Any) -> Steps:
    yield context.call_entity(df.EntityId("nobody", "a"), "get")


def run(name: str, given: Any = None) -> Any:
    async def main() -> Any:
        async with task_hub(app) as hub:
            return await hub.result(name, given)

    return run_virtual(main())


def test_signals_and_a_call_from_one_sender_are_served_in_order() -> None:
    assert run("adds", [1, 2, 3]) == 6


def test_an_error_reaches_the_caller_and_keeps_the_state_set_before_it() -> None:
    assert run("fails") == ["refused", 100]


def test_an_unknown_entity_fails_the_orchestration_at_once() -> None:
    assert "The function 'nobody' doesn't exist" in run("calls_nobody")


def test_a_client_signals_and_reads_and_a_deleted_entity_is_gone() -> None:
    async def main() -> tuple[str | None, str | None]:
        async with task_hub(app) as hub:
            await hub.client.signal_entity("counter", "a", "add", json.dumps("5"))
            await hub.pass_time(1)
            there = hub.client.entity_state("Counter", "a")
            await hub.client.signal_entity("counter", "a", "delete", None)
            await hub.pass_time(1)
            return there, hub.client.entity_state("Counter", "a")

    assert run_virtual(main()) == ("5", None)


def test_a_signal_to_an_unknown_entity_is_refused() -> None:
    async def main() -> int:
        async with task_hub(app) as hub:
            with pytest.raises(CommandRefused) as refused:
                await hub.client.signal_entity("nobody", "a", "add", None)
            return refused.value.status

    assert run_virtual(main()) == 400


def test_more_operations_than_a_batch_holds_are_all_served() -> None:
    assert run("adds", [1] * 120) == 120
