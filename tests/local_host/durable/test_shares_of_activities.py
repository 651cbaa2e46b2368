"""Whose share an activity is of: who has a hundred that wait leaves places for the next."""

import asyncio
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from local_host.durable.settings import DurableSettings
from tests.kit.task_hub import durable_app, task_hub
from tests.kit.virtual_time import run_virtual


def app_of(share_of: Any) -> df.DFApp:
    """Return an app whose activity waits for ever, unless it is given another's name than `a`."""
    app = durable_app()

    @app.orchestration_trigger(context_name="context")
    def run(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_activity("work", {"tenant": context.get_input()}))

    async def work(given: dict) -> str:  # type: ignore[type-arg]  # as the worker takes it
        if given["tenant"] == "a":
            await asyncio.get_running_loop().create_future()
        return "done"

    if share_of is not None:
        work.share_of = share_of  # type: ignore[attr-defined]
    app.function_name("work")(app.activity_trigger(input_name="given")(work))
    return app


def statuses(share_of: Any) -> list[str]:
    async def main() -> list[str]:
        settings = DurableSettings(activities_max=4)
        async with task_hub(app_of(share_of), settings=settings) as hub:
            for number in range(10):
                await hub.start("run", "a", f"a{number}")
            for name in "bc":
                await hub.start("run", name, name)
            await hub.pass_time(60)
            return [hub.instance(name).status for name in "bc"]

    return run_virtual(main())


def test_activities_of_one_share_leave_places_to_those_of_others() -> None:
    assert statuses(lambda given: given["tenant"]) == ["Completed", "Completed"]


def test_without_shares_all_places_are_for_whoever_comes_first() -> None:
    assert statuses(None) == ["Running", "Running"]


def test_a_share_that_cannot_be_told_is_nobodys() -> None:
    def broken(_given: Any) -> str:
        raise SystemExit(3)

    assert statuses(broken) == ["Running", "Running"]
