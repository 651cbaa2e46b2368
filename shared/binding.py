"""Binds one service to its triggers: the same set, in the same order, for all nine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import azure.durable_functions as df

from shared.durable.binding import register, register_activity
from shared.durable.steps import Activity, OrchestrationTable
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
    return blueprint
