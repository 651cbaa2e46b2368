"""Binds a service's message handlers and its outbox relay to Azure Functions triggers."""

import azure.durable_functions as df
import azure.functions as func

from shared.composition.embedded import DATABASE
from shared.composition.service import Service
from shared.contracts.commands import command_queue
from shared.contracts.events import RUNTIME_EVENTS
from shared.contracts.values import Service as ServiceName
from shared.messaging.dispatcher import Dispatcher, Received
from shared.persistence.cosmos_form import document_of
from shared.triggers.durable_triggers import CLIENT

CONNECTION = "ServiceBus"
STORE_CONNECTION = "CosmosDB"


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
        subscription_name=service.outside_name,
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


def bind_relay(blueprint: df.Blueprint, service: Service) -> None:
    """Register the change-feed and the timer trigger of the outbox relay."""
    feed, sweep = f"{service.name}_relay_changes", f"{service.name}_sweep_outbox"

    async def run_feed(documents: func.DocumentList, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        await service.relay.relay_changes([document_of(item.to_dict()) for item in documents])

    run_feed.__name__ = feed
    bound = blueprint.durable_client_input(client_name=CLIENT)(run_feed)
    bound = blueprint.cosmos_db_trigger(
        arg_name="documents",
        connection=STORE_CONNECTION,
        database_name=DATABASE,
        container_name=service.name,
        lease_container_name=f"{service.name}-leases",
    )(bound)
    blueprint.function_name(feed)(bound)

    async def run_sweep(_timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        await service.relay.sweep()

    run_sweep.__name__ = sweep
    bound = blueprint.durable_client_input(client_name=CLIENT)(run_sweep)
    bound = blueprint.timer_trigger(
        arg_name="_timer", schedule="*/15 * * * * *", use_monitor=False
    )(bound)
    blueprint.function_name(sweep)(bound)


def _received(message: func.ServiceBusMessage) -> Received:
    properties = {
        str(name): str(value) for name, value in (message.application_properties or {}).items()
    }
    return Received(message.get_body(), message.content_type or "application/json", properties)
