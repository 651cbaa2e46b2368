"""The embedded account as triggers and outputs see it: documents in the form Cosmos DB shows.

Containers of our own stores and those that were created over the wire, or by an output, look the
same from here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from azure.functions.cosmosdb import CosmosDBConverter

from local_cloud.cosmos_endpoint.account import Account, Container
from local_cloud.cosmos_endpoint.documents import Documents, Span, partition_of
from local_cloud.cosmos_endpoint.wire import Refusal
from local_cloud.storage import LocalStorage
from local_host.model import Binding, IndexedFunction, OutputSink
from shared.embedding import Storage
from shared.persistence.cosmos_form import raw_of
from shared.persistence.sqlite_rows import Verb
from shared.persistence.store import Document, Store

Shown = Mapping[str, Any]
"""A document with its partition key and system fields."""


class ChangeSource(Protocol):
    """The change feed of one container."""

    async def feed_ranges(self) -> Sequence[str]: ...

    async def changes(
        self, feed_range: str, place: str | None, limit: int
    ) -> tuple[Sequence[Shown], str]:
        """Return what changed since *place*, oldest first, and the place to go on from."""
        ...

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call *listener* after writes of this process; return what ends that.

        It may never be called: who follows must also look from time to time.
        """
        ...


class StoreChanges:
    """The feed of a container that a Store wrote."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def feed_ranges(self) -> Sequence[str]:
        return await self._store.feed_ranges()

    async def changes(
        self, feed_range: str, place: str | None, limit: int
    ) -> tuple[Sequence[Shown], str]:
        page = await self._store.changes(feed_range, place, limit=limit)
        return [shown(document) for document in page.documents], page.continuation

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        subscribe = getattr(self._store, "on_change", None)
        end: Callable[[], None] = subscribe(listener) if subscribe else lambda: None
        return end


class DefinedChanges(StoreChanges):
    """The feed of a container with a definition of its own, whoever wrote its documents."""

    def __init__(self, container: Container) -> None:
        super().__init__(container.store)
        self._documents = Documents(container)

    async def changes(
        self, feed_range: str, place: str | None, limit: int
    ) -> tuple[Sequence[Shown], str]:
        span = Span(feed_range=int(feed_range))
        documents, lsn = self._documents.changed(span, int(place or 0), limit)
        return documents, str(lsn)


def changes_of(storage: Storage, database: str, container: str) -> ChangeSource | None:
    """Return the change feed of a container; None as long as there is no such container.

    Looking must not create it: whoever does decides on its partition key.
    """
    if not isinstance(storage, LocalStorage):
        return StoreChanges(storage.store(database, container))
    if container not in storage.containers(database):
        return None
    found = Account(storage).container(database, container)
    return DefinedChanges(found) if found.is_defined else StoreChanges(found.store)


def shown(document: Document) -> Shown:
    """Return *document* with its partition key fields and the system fields."""
    raw = raw_of(document.partition, document.id, document.body, None)
    raw["_etag"] = document.etag
    raw["_ts"] = document.changed_at_s
    return raw


def output_sink(storage: LocalStorage) -> OutputSink:
    """Return what upserts the documents of a `cosmosDB` output."""
    account = Account(storage)

    async def write(binding: Binding, function: IndexedFunction, value: Any) -> None:
        if value is None:
            return
        documents = _documents_of(binding, function, value)
        container = await _container_of(account, binding)
        for document in documents:
            key = partition_of([_value_at(document, path) for path in container.paths])
            await Documents(container).write(key, Verb.UPSERT, document, None)

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


async def _container_of(account: Account, binding: Binding) -> Container:
    """Return the output's container, created when the binding says so. Raises Refusal (404)."""
    database = binding.text("databaseName")
    name = binding.text("containerName") or binding.text("collectionName")
    try:
        return account.container(database, name)
    except Refusal as refusal:
        if refusal.status != 404 or not binding.flag("createIfNotExists"):  # noqa: PLR2004
            raise
    try:
        account.create_database(database)
    except Refusal as refusal:
        if refusal.status != 409:  # noqa: PLR2004  it is there
            raise
    paths = [path.strip() for path in binding.text("partitionKey", "/id").split(",")]
    return await account.create_container(
        database, {"id": name, "partitionKey": {"paths": paths, "kind": "Hash"}}
    )


def _value_at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at *path*; what is missing is `{}`, the key header's undefined."""
    value: Any = document
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return {}
        value = value[name]
    return value
