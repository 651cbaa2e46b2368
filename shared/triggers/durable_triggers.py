"""Binds orchestrations and activities to Azure Durable Functions."""

import inspect
from collections.abc import Callable, Generator, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func

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
from shared.telemetry.trace_context import host_parent
from shared.telemetry.work import OFF, Telemetry

CONTEXT: Final = "context"
CLIENT: Final = "client"
"""The parameter that carries the durable client binding, in every function that may commit."""


def bind_function(
    blueprint: df.Blueprint,
    name: str,
    trigger: Callable[[Any], Any],
    run: Callable[..., Any],
    telemetry: Telemetry = OFF,
) -> None:
    """Register *run* under *name* behind *trigger*, with the durable client as its `client`.

    Where *telemetry* is below the spans of a host, those of *run* are.
    """
    if telemetry.host_has_spans:
        run = in_host_span(run)
    run.__name__ = name
    bound = trigger(blueprint.durable_client_input(client_name=CLIENT)(run))
    blueprint.function_name(name)(bound)


def in_host_span(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return *run* with the invocation's `context`, whose span becomes the parent."""

    @wraps(run)
    async def run_below(context: func.Context, **arguments: Any) -> Any:
        token = host_parent.set(context.trace_context.trace_parent or "")
        try:
            return await run(**arguments)
        finally:
            host_parent.reset(token)

    # The worker and the library look at names and annotations.
    signature = inspect.signature(run)
    own = inspect.Parameter(
        CONTEXT, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=func.Context
    )
    parameters = [*signature.parameters.values(), own]
    run_below.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run_below.__annotations__ = {**run.__annotations__, CONTEXT: func.Context}
    return run_below


def register(blueprint: df.Blueprint, orchestrator: Orchestrator, *, version: int) -> None:
    """Give *orchestrator* to the host under its service's name, encoding its outcome.

    *version* is part of the history of each instance; golden histories of every released version
    are replayed in CI.
    """
    name = durable_name(orchestrator)

    def run(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        ending = yield from supervise(orchestrator, OrchestrationContext(context))
        if ending.code:
            return {"version": version, "ended": ending.code}
        outcome = outcome_adapter(orchestrator)
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
    bind_function(blueprint, name, trigger, run, app.service.telemetry)


def _tenant_of(request: Mapping[str, Any]) -> str:
    return str(request["tenant"])
