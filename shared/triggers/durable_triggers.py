"""Binds orchestrations and activities to Azure Durable Functions."""

from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Final

import azure.durable_functions as df

from shared.durable.abandon import AbandonOperation, fail_operation_by
from shared.durable.activity import perform
from shared.durable.orchestration import (
    FAIL_OPERATION,
    Activity,
    OrchestrationContext,
    Orchestrator,
    durable_name,
    outcome_adapter,
    supervise,
)
from shared.durable.task_hub import TaskHub

CLIENT: Final = "client"
"""The parameter that carries the durable client binding, in every function that may commit."""


def bind_function(
    blueprint: df.Blueprint, name: str, trigger: Callable[[Any], Any], run: Callable[..., Any]
) -> None:
    """Register *run* under *name* behind *trigger*, with the durable client as its `client`."""
    run.__name__ = name
    bound = trigger(blueprint.durable_client_input(client_name=CLIENT)(run))
    blueprint.function_name(name)(bound)


def register(blueprint: df.Blueprint, orchestrator: Orchestrator, *, version: int) -> None:
    """Give *orchestrator* to the host under its service's name, encoding its outcome.

    *version* is part of the history of each instance; golden histories of every released version
    are replayed in CI.
    """
    name = durable_name(orchestrator)
    outcome = outcome_adapter(orchestrator)

    def run(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        ending = yield from supervise(orchestrator, OrchestrationContext(context))
        if ending.code:
            return {"version": version, "ended": ending.code}
        encoded = outcome.dump_python(ending.outcome, mode="json", by_alias=True)
        return {"version": version, "outcome": encoded}

    run.__name__ = name
    blueprint.function_name(name)(
        blueprint.orchestration_trigger(context_name="context", orchestration=name)(run)
    )


def register_activity(
    blueprint: df.Blueprint, activity: Activity[Any], app: Any, hub: TaskHub
) -> None:
    """Give *activity* to the host; an error of it becomes an answer that `call` understands."""
    _register(blueprint, durable_name(activity), activity, app, hub)


def register_fail_operation(
    blueprint: df.Blueprint,
    service: str,
    app: Any,
    hub: TaskHub,
    abandon_by_kind: Mapping[str, AbandonOperation] = MappingProxyType({}),
) -> None:
    """Give the activity that `supervise` calls to the host, under the name of *service*."""
    activity = fail_operation_by(abandon_by_kind)
    _register(blueprint, f"{service}_{FAIL_OPERATION}", activity, app, hub)


def _register(
    blueprint: df.Blueprint, name: str, activity: Callable[..., Any], app: Any, hub: TaskHub
) -> None:
    async def run(request: dict, client: df.DurableOrchestrationClient) -> object:  # type: ignore[type-arg]  # the worker refuses dict[str, Any]
        hub.attach(client)
        return await perform(activity, request, app)

    # Asked by the embedded host: tenants share the places that it has for activities.
    run.share_of = _tenant_of  # type: ignore[attr-defined]
    trigger = blueprint.activity_trigger(input_name="request", activity=name)
    bind_function(blueprint, name, trigger, run)


def _tenant_of(request: Mapping[str, Any]) -> str:
    return str(request["tenant"])
