"""Binds the message handlers of a service to the Service Bus triggers of Azure Functions."""

from collections.abc import Callable
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func

from shared.composition.service import Service
from shared.contracts.entities import FACTORY_EVENTS, RUNTIME_EVENTS, command_queue
from shared.contracts.values import Service as ServiceName
from shared.messaging.dispatcher import Dispatcher, Received
from shared.triggers.durable_triggers import bind_function

CONNECTION = "ServiceBus"


_EVENT_OF: Final = {RUNTIME_EVENTS: "runtime_event", FACTORY_EVENTS: "factory_event"}


def bind_events(
    blueprint: df.Blueprint, topic: str, dispatch: Dispatcher, service: Service
) -> None:
    """Register the trigger of the service's subscription to *topic*."""
    trigger = blueprint.service_bus_topic_trigger(
        arg_name="message",
        topic_name=topic,
        subscription_name=service.public_name,
        connection=CONNECTION,
    )
    _bind(blueprint, f"{service.name}_on_{_EVENT_OF[topic]}", trigger, dispatch, service)


def bind_commands(blueprint: df.Blueprint, dispatch: Dispatcher, service: Service) -> None:
    """Register the trigger of the service's command queue."""
    trigger = blueprint.service_bus_queue_trigger(
        arg_name="message",
        queue_name=command_queue(ServiceName(service.name)),
        connection=CONNECTION,
    )
    _bind(blueprint, f"{service.name}_on_command", trigger, dispatch, service)


def _bind(
    blueprint: df.Blueprint,
    name: str,
    trigger: Callable[[Any], Any],
    dispatch: Dispatcher,
    service: Service,
) -> None:
    async def run(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        properties = message.application_properties or {}
        received = Received(
            message.get_body(),
            message.content_type or "application/json",
            {str(key): str(value) for key, value in properties.items()},
        )
        await dispatch(received)

    bind_function(blueprint, name, trigger, run, service.telemetry)
