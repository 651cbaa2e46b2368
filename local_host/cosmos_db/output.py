"""The `cosmosDB` output: upserts what a function returned or set."""

import json
from typing import Any

from azure.functions.cosmosdb import CosmosDBConverter

from local_cloud.cosmos_containers import CosmosContainers
from local_host.model import Binding, IndexedFunction, OutputSink


def output_sink(containers: CosmosContainers) -> OutputSink:
    """Return what upserts the documents of a `cosmosDB` output."""

    async def write(binding: Binding, function: IndexedFunction, value: Any) -> None:
        if value is None:
            return
        documents = _documents_of(binding, function, value)
        database = binding.text("databaseName")
        name = binding.text("containerName") or binding.text("collectionName")
        if binding.flag("createIfNotExists"):
            key = [path.strip() for path in binding.text("partitionKey", "/id").split(",")]
            await containers.create(database, name, key)
        await containers.upsert(database, name, documents)

    return write


def _documents_of(binding: Binding, function: IndexedFunction, value: Any) -> list[dict[str, Any]]:
    try:
        datum = CosmosDBConverter.encode(value, expected_type=None)
    except NotImplementedError as problem:
        raise TypeError(
            f"output {binding.name!r} of {function.name} got {type(value).__name__}; "
            "a cosmosDB output takes func.Document, func.DocumentList or an iterable of Documents"
        ) from problem
    documents: list[dict[str, Any]] = json.loads(datum.value)
    return documents
