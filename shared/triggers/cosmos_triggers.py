"""Binds the change feed of a service's container to the Cosmos DB trigger of Azure Functions."""

from collections.abc import Sequence
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func

from shared.composition.service import Service
from shared.contracts.storage import DATABASE
from shared.messaging.due_dates import DueDates
from shared.persistence.codec import DocumentCodec
from shared.persistence.cosmos_form import documents_of
from shared.triggers.durable_triggers import bind_function

CONNECTION: Final = "CosmosDB"


def bind_change_feed(
    blueprint: df.Blueprint, service: Service, swept: Sequence[DocumentCodec[Any]] = ()
) -> None:
    """Register the trigger that relays the outbox rows which an invocation left behind.

    It also mends the due dates of rows, and of the documents of *swept*.
    """
    codecs = {codec.type_name: codec for codec in swept}
    due_dates = DueDates(service.store, service.clock, codecs)

    async def run(documents: func.DocumentList, client: df.DurableOrchestrationClient) -> None:
        service.hub.attach(client)
        readable, _ = documents_of(item.to_dict() for item in documents)
        await due_dates.mend(readable)
        await service.relay.relay_changes(readable)

    trigger = blueprint.cosmos_db_trigger(
        arg_name="documents",
        connection=CONNECTION,
        database_name=DATABASE,
        container_name=service.name,
        lease_container_name=f"{service.name}-leases",
    )
    bind_function(blueprint, f"{service.name}_relay_changes", trigger, run)
