"""What becomes of an instance id that is used again.

The library documents that an existing instance "will be silently replaced" by `start_new`; the
extension refuses that while the instance is not finished (`overridableExistingInstanceStates`,
default NonRunningStates).
https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-bindings#host-json
https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-singletons
"""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from local_host.durable.history import EventType
from local_host.durable.records import AlreadyExists
from tests.kit.task_hub import durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]
app = durable_app()
runs: list[int] = []


@app.activity_trigger(input_name="x")
def note(x: int) -> int:
    runs.append(x)
    return x


@app.orchestration_trigger(context_name="context")
def once(context: Any) -> Steps:
    return (yield context.call_activity("note", context.get_input()))


@app.orchestration_trigger(context_name="context")
def waits(context: Any) -> Steps:
    yield context.wait_for_external_event("Go")


def test_a_finished_id_started_again_runs_again_over_a_new_history() -> None:
    async def main() -> tuple[list[Any], int]:
        runs.clear()
        async with task_hub(app) as hub:
            outputs = [await hub.result("once", 1), await hub.result("once", 2)]
            return outputs, len(hub.events("i", EventType.EXECUTION_STARTED))

    assert run_virtual(main()) == ([1, 2], 1)
    assert runs == [1, 2]


def test_of_many_starts_of_one_id_exactly_one_wins() -> None:
    async def main() -> int:
        async with task_hub(app) as hub:
            starts = [hub.start("waits") for _ in range(10)]
            results = await asyncio.gather(*starts, return_exceptions=True)
            return sum(isinstance(result, AlreadyExists) for result in results)

    assert run_virtual(main()) == 9


def test_a_message_for_an_earlier_life_of_the_id_is_dropped() -> None:
    async def main() -> tuple[str, int]:
        async with task_hub(app) as hub:
            await hub.start("waits")
            await hub.pass_time(1)
            await hub.client.terminate("i", "over")
            await hub.client.raise_event("i", "Go", "1")
            await hub.pass_time(1)
            await hub.start("waits")
            await hub.pass_time(1)
            return hub.instance().status, len(hub.events("i", EventType.EVENT_RAISED))

    assert run_virtual(main()) == ("Running", 0)


def test_an_id_that_is_not_finished_is_refused() -> None:
    async def main() -> None:
        async with task_hub(app) as hub:
            await hub.start("waits")
            with pytest.raises(AlreadyExists):
                await hub.start("once")

    run_virtual(main())
