"""Binds orchestrations and activities to Azure Durable Functions, and the durable client to a port.

The only place that knows azure-functions-durable.
"""

from collections.abc import Callable, Generator, Mapping
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
from shared.kernel.errors import Unavailable

A = TypeVar("A")
CLIENT = "client"
"""The parameter that carries the durable client binding, in every function that may commit."""


class TaskHub:
    """The `Orchestrations` port over the durable client of whichever invocation came last.

    The client is only addresses and a key, equal in every invocation, so keeping one is safe.
    """

    def __init__(self) -> None:
        self._client: df.DurableOrchestrationClient | None = None

    def attach(self, client: df.DurableOrchestrationClient) -> None:
        self._client = client

    async def start(
        self, orchestration: str, instance_id: str, argument: Mapping[str, Any]
    ) -> None:
        client = self._attached()
        try:
            await client.start_new(orchestration, instance_id, dict(argument))
        except Exception as problem:
            if "already exists" not in str(problem):
                raise Unavailable(f"{instance_id} was not started: {problem}") from problem

    async def wake(self, instance_id: str, name: str) -> None:
        client = self._attached()
        try:
            await client.raise_event(instance_id, name, "nudge")
        except Exception as problem:
            text = str(problem)
            if "No instance with ID" not in text and "is gone" not in text:
                raise Unavailable(f"{instance_id} was not woken: {problem}") from problem

    def _attached(self) -> df.DurableOrchestrationClient:
        if self._client is None:
            raise Unavailable("no durable client has been bound yet in this process")
        return self._client


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
