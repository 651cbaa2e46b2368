"""Binds the change feed of a service's container to the Cosmos DB trigger of Azure Functions."""

from typing import Final

import azure.durable_functions as df
import azure.functions as func

from shared.composition.service import Service
from shared.composition.settings import DATABASE
from shared.persistence.cosmos_form import documents_of
from shared.triggers.durable_triggers import bind_function

CONNECTION: Final = "CosmosDB"


def bind_change_feed(blueprint: df.Blueprint, service: Service) -> None:
    """Register the trigger that relays the outbox rows which an invocation left behind."""

    async def run(documents: func.DocumentList, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        readable, _ = documents_of(item.to_dict() for item in documents)
        await service.relay.relay_changes(readable)

    trigger = blueprint.cosmos_db_trigger(
        arg_name="documents",
        connection=CONNECTION,
        database_name=DATABASE,
        container_name=service.name,
        lease_container_name=f"{service.name}-leases",
    )
    bind_function(blueprint, f"{service.name}_relay_changes", trigger, run)
