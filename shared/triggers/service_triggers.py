"""Binds one service to its triggers: the same set, in the same order, for every service."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from functools import cache, partial
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.composition.service import Service
from shared.contracts.entities import FACTORY_EVENTS, RUNTIME_EVENTS, command_queue
from shared.contracts.events import subscription
from shared.contracts.values import Service as ServiceName
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import Activity
from shared.durable.recovery import SWEEP, Recovery
from shared.kernel.dataclass import dataclass
from shared.kernel.schedules import ncrontab
from shared.messaging.dead_letters import EntityDeadLetters
from shared.messaging.dispatcher import Dispatcher, HandlerTable
from shared.messaging.entity_path import subscription_path
from shared.messaging.outbox import SWEEP_AFTER
from shared.messaging.relay import SWEEP_OUTBOX
from shared.messaging.service_parts import App
from shared.persistence.codec import DocumentCodec
from shared.telemetry.names import DUE, TIMER, TIMER_RUN, UNDONE
from shared.telemetry.work import NOTHING
from shared.triggers.cosmos_triggers import bind_change_feed
from shared.triggers.durable_triggers import (
    bind_function,
    register,
    register_activity,
    register_fail_operation,
)
from shared.triggers.http_triggers import bind_routes
from shared.triggers.service_bus_triggers import bind_commands, bind_events
from shared.web import openapi
from shared.web.administration import Administration, AlertSource, OperationControl
from shared.web.administration_routes import administration_routes
from shared.web.dead_letters import COMMANDS, EVENTS, FACTORY
from shared.web.routes import Route

RECOVERY_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Timer:
    """A timer of a service: `async def run(app)`, every *every*."""

    name: str
    every: timedelta
    run: Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """The routes, messages, timers and orchestrations of a service.

    `orchestrations` maps each to its version, which is written into every instance's outcome.
    `controls` says of each kind of operation how it is canceled and abandoned. `swept` has the
    codecs of the documents that its timers sweep, `alerts` those that know of raised alerts.
    """

    routes: Sequence[Route] = ()
    events: HandlerTable = field(default_factory=dict)
    commands: HandlerTable = field(default_factory=dict)
    orchestrations: Mapping[Any, int] = field(default_factory=dict)
    activities: Sequence[Activity[Any]] = ()
    controls: Mapping[str, OperationControl] = field(default_factory=dict)
    timers: Sequence[Timer] = ()
    swept: Sequence[DocumentCodec[Any]] = ()
    alerts: Sequence[AlertSource] = ()


def bind(triggers: Triggers, app: App[Service]) -> df.Blueprint:
    """Return a blueprint with all of *triggers* bound to *app*; nothing is bound at import."""
    blueprint, service = df.Blueprint(), app.service
    events, commands = triggers.events, triggers.commands

    def dispatcher(handlers: HandlerTable, *, takes_commands: bool = False) -> Dispatcher:
        return Dispatcher(
            handlers, app, service.work, service.clock, service.entropy, takes_commands,
            service.telemetry,
        )  # fmt: skip

    rows = administration_routes(service.public_name)
    document = cache(partial(openapi.document, service.public_name, [*triggers.routes, *rows]))
    administration = Administration(
        service,
        app,
        dispatcher({**events, **commands}),
        document,
        triggers.controls,
        _dead_letters(triggers, service),
        alerts=triggers.alerts,
    )
    bind_routes(blueprint, triggers.routes, app, service)
    bind_routes(blueprint, rows, administration, service)
    if events:
        bind_events(blueprint, RUNTIME_EVENTS, dispatcher(events), service)
    if subscription(FACTORY_EVENTS, ServiceName(service.name)):
        bind_events(blueprint, FACTORY_EVENTS, dispatcher(events), service)
    if commands:
        bind_commands(blueprint, dispatcher(commands, takes_commands=True), service)
    bind_change_feed(blueprint, service, [OPERATIONS, *triggers.swept])
    outbox = Timer(SWEEP_OUTBOX, SWEEP_AFTER, lambda _app: service.relay.sweep())
    for timer in (outbox, *triggers.timers):
        bind_timer(blueprint, timer, app, service)
    if triggers.orchestrations:
        _bind_orchestrations(blueprint, triggers, app, service)
    return blueprint


def _dead_letters(triggers: Triggers, service: Service) -> Mapping[str, EntityDeadLetters]:
    """Return the dead letters of what *triggers* listen to."""
    name, queue = ServiceName(service.name), command_queue(ServiceName(service.name))
    own, others = (
        subscription_path(topic, service.public_name) for topic in (RUNTIME_EVENTS, FACTORY_EVENTS)
    )
    entities = {
        EVENTS: own if triggers.events else None,
        FACTORY: others if subscription(FACTORY_EVENTS, name) else None,
        COMMANDS: queue if triggers.commands else None,
    }
    return {
        word: EntityDeadLetters(entity, service.dead_letters)
        for word, entity in entities.items()
        if entity is not None
    }


async def run_timer(timer: Timer, app: Any, service: Service) -> None:
    """Run *timer* once, measured; one that sweeps returns how many documents were due."""
    telemetry, attributes = service.telemetry, {TIMER: timer.name}
    with telemetry.span(TIMER_RUN, timer.name, "", {**attributes}) if telemetry.is_on else NOTHING:
        due = await timer.run(app)
    if telemetry.is_on and isinstance(due, int):
        telemetry.add(DUE, due, attributes)
        undone = service.sweeps.failures(service.clock.now()).get(timer.name, 0)
        telemetry.add(UNDONE, undone, attributes)


def bind_timer(blueprint: df.Blueprint, timer: Timer, app: Any, service: Service) -> None:
    """Register *timer* under its service's name."""

    async def run(tick: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        del tick
        service.hub.attach(client)
        await run_timer(timer, app, service)

    trigger = blueprint.timer_trigger(
        arg_name="tick", schedule=ncrontab(timer.every), use_monitor=False
    )
    bind_function(blueprint, f"{service.name}_{timer.name}", trigger, run)


def _bind_orchestrations(
    blueprint: df.Blueprint, triggers: Triggers, app: Any, service: Service
) -> None:
    recovery = Recovery(service.store, service.hub, service.clock, service.sweeps)
    timer = Timer(SWEEP, RECOVERY_EVERY, lambda _app: recovery.sweep())
    bind_timer(blueprint, timer, app, service)
    for orchestrator, version in triggers.orchestrations.items():
        register(blueprint, orchestrator, version=version)
    for activity in triggers.activities:
        register_activity(blueprint, activity, app, service.hub)
    abandon = {kind: control.abandon for kind, control in triggers.controls.items()}
    register_fail_operation(blueprint, service.name, app, service.hub, abandon)
