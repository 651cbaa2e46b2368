"""Binds orchestrations that are not yet in the new shape; goes with the last of them."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import azure.durable_functions as df

from shared.durable.steps import (
    Activity,
    Steps,
    Story,
    durable_name,
    outcome_adapter,
    perform,
)
from shared.durable.task_hub import TaskHub

A = TypeVar("A")
CLIENT = "client"
"""The parameter that carries the durable client binding, in every function that may commit."""


def register(
    blueprint: df.Blueprint, orchestration: Callable[[Story], Steps[Any]], *, version: int
) -> None:
    """Give *orchestration* to the host under its service's name, encoding its outcome.

    *version* is part of the history of each instance; golden histories of every released version
    are replayed in CI.
    """
    name = durable_name(orchestration)
    outcome = outcome_adapter(orchestration)

    def run(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        result = yield from orchestration(Story(context))
        return {
            "version": version,
            "outcome": outcome.dump_python(result, mode="json", by_alias=True),
        }

    run.__name__ = name
    blueprint.function_name(name)(
        blueprint.orchestration_trigger(context_name="context", orchestration=name)(run)
    )


def register_activity(
    blueprint: df.Blueprint, activity: Activity[Any], app: A, hub: TaskHub
) -> None:
    """Give *activity* to the host; what it raises becomes an answer that `call` understands."""
    name = durable_name(activity)

    async def run(request: dict, client: df.DurableOrchestrationClient) -> object:  # type: ignore[type-arg]  # the worker refuses dict[str, Any]
        hub.attach(client)
        return await perform(activity, request, app)

    run.__name__ = name
    bound = blueprint.activity_trigger(input_name="request", activity=name)(run)
    blueprint.function_name(name)(blueprint.durable_client_input(client_name=CLIENT)(bound))
