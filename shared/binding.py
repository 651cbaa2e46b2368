"""Binds one service to its triggers: the same set, in the same order, for all nine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.durable.binding import CLIENT, register, register_activity
from shared.durable.recovery import Recovery
from shared.durable.steps import Activity, OrchestrationTable
from shared.kernel.scope import PlatformScope
from shared.messaging.binding import bind_commands, bind_events, bind_relay
from shared.messaging.dispatcher import Dispatcher, HandlerTable
from shared.service import Service
from shared.web import openapi
from shared.web.administration import Administration, administration_routes
from shared.web.binding import bind_routes
from shared.web.routes import Route


@dataclass(frozen=True)
class Triggers:
    """What a service listens to and runs.

    `orchestrations` maps each to its version, which is written into every instance's outcome.
    """

    routes: Sequence[Route] = ()
    events: HandlerTable = field(default_factory=dict)
    commands: HandlerTable = field(default_factory=dict)
    orchestrations: OrchestrationTable = field(default_factory=dict)
    activities: Sequence[Activity[Any]] = ()


def bind(triggers: Triggers, app: Any, service: Service) -> df.Blueprint:
    """Return a blueprint with all of *triggers* bound to *app*; nothing is bound at import."""
    blueprint = df.Blueprint()
    events, commands, any_message = (
        Dispatcher(handlers, app, service.work, service.clock, service.entropy)
        for handlers in (
            triggers.events,
            triggers.commands,
            {**triggers.events, **triggers.commands},
        )
    )
    rows = administration_routes(service.outside_name)
    document = openapi.document(service.outside_name, [*triggers.routes, *rows])
    bind_routes(blueprint, triggers.routes, app, service)
    bind_routes(blueprint, rows, Administration(service, any_message, document), service)
    if triggers.events:
        bind_events(blueprint, events, service)
    if triggers.commands:
        bind_commands(blueprint, commands, service)
    bind_relay(blueprint, service)
    for orchestration, version in triggers.orchestrations.items():
        register(blueprint, orchestration, version=version)
    for activity in triggers.activities:
        register_activity(blueprint, activity, app, service.hub)
    if triggers.orchestrations:
        _bind_recovery(blueprint, service)
    return blueprint


def _bind_recovery(blueprint: df.Blueprint, service: Service) -> None:
    """Register the timer that starts lost operations again."""
    name = f"{service.name}_recover_operations"
    recovery = Recovery(service.store, service.hub, service.clock)

    async def run(_timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        await recovery.sweep(PlatformScope(f"timer:{name}"))

    run.__name__ = name
    bound = blueprint.durable_client_input(client_name=CLIENT)(run)
    bound = blueprint.timer_trigger(
        arg_name="_timer", schedule="*/30 * * * * *", use_monitor=False
    )(bound)
    blueprint.function_name(name)(bound)
