"""Binds the message handlers of a service to the Service Bus triggers of Azure Functions."""

import azure.durable_functions as df
import azure.functions as func

from shared.composition.service import Service
from shared.contracts.commands import command_queue
from shared.contracts.events import RUNTIME_EVENTS
from shared.contracts.values import Service as ServiceName
from shared.messaging.dispatcher import Dispatcher, Received
from shared.triggers.durable_triggers import CLIENT

CONNECTION = "ServiceBus"


def bind_events(blueprint: df.Blueprint, dispatch: Dispatcher, service: Service) -> None:
    """Register the trigger of the service's subscription to `runtime-events`."""
    name = f"{service.name}_on_runtime_event"

    async def run(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        await dispatch(_received(message))

    run.__name__ = name
    bound = blueprint.durable_client_input(client_name=CLIENT)(run)
    bound = blueprint.service_bus_topic_trigger(
        arg_name="message",
        topic_name=RUNTIME_EVENTS,
        subscription_name=service.public_name,
        connection=CONNECTION,
    )(bound)
    blueprint.function_name(name)(bound)


def bind_commands(blueprint: df.Blueprint, dispatch: Dispatcher, service: Service) -> None:
    """Register the trigger of the service's command queue."""
    name = f"{service.name}_on_command"

    async def run(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        await dispatch(_received(message))

    run.__name__ = name
    bound = blueprint.durable_client_input(client_name=CLIENT)(run)
    bound = blueprint.service_bus_queue_trigger(
        arg_name="message",
        queue_name=command_queue(ServiceName(service.name)),
        connection=CONNECTION,
    )(bound)
    blueprint.function_name(name)(bound)


def _received(message: func.ServiceBusMessage) -> Received:
    properties = {
        str(name): str(value) for name, value in (message.application_properties or {}).items()
    }
    return Received(message.get_body(), message.content_type or "application/json", properties)
