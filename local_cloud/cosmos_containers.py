"""The containers of the embedded Cosmos account, as a trigger reads them and an output writes them.

Documents have the form that Cosmos DB shows. Containers of our own stores and those that were
created over the wire, or by an output, look the same from here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol

from local_cloud.cosmos_endpoint.account import Account, Container
from local_cloud.cosmos_endpoint.documents import Documents
from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.feeds import Feeds
from local_cloud.cosmos_endpoint.partition_keys import own_partition
from local_cloud.cosmos_endpoint.partition_ranges import PartitionRange
from local_cloud.sqlite.rows import Verb
from local_cloud.sqlite.store import SqliteStore
from local_cloud.storage import LocalStorage
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.persistence.cosmos_form import raw_of
from shared.persistence.store import Document

_LOOK_AGAIN_S: Final = 30.0
ShownDocument = Mapping[str, Any]
"""A document with its partition key and system fields."""


class ChangeFeed(Protocol):
    """The change feed of one container."""

    async def feed_ranges(self) -> Sequence[str]: ...

    async def changes(
        self, feed_range: str, continuation: str | None, limit: int
    ) -> tuple[Sequence[ShownDocument], str]:
        """Return what changed since *continuation*, oldest first, and the next continuation."""
        ...

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call *listener* after writes of this process; return what ends that.

        It may never be called: a follower must also poll.
        """
        ...


class StoreChangeFeed:
    """The feed of a container that a Store wrote."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def feed_ranges(self) -> Sequence[str]:
        return await self._store.feed_ranges()

    async def changes(
        self, feed_range: str, continuation: str | None, limit: int
    ) -> tuple[Sequence[ShownDocument], str]:
        self._check_container()
        page = await self._store.changes(feed_range, continuation, limit=limit)
        return [_shown(document) for document in page.documents], page.continuation

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self._store.on_change(listener)

    def _check_container(self) -> None:
        """Raises Unavailable where a client has deleted the container."""
        if self._store.database.is_closed:
            raise Unavailable("the container was deleted", retry_after_s=_LOOK_AGAIN_S)


class DefinedChangeFeed(StoreChangeFeed):
    """The feed of a container that has a partition key definition of its own."""

    def __init__(self, container: Container) -> None:
        super().__init__(container.store)
        self._feeds = Feeds(container)

    async def changes(
        self, feed_range: str, continuation: str | None, limit: int
    ) -> tuple[Sequence[ShownDocument], str]:
        self._check_container()
        partitions = PartitionRange(feed_range=int(feed_range))
        documents, lsn = self._feeds.changed(partitions, int(continuation or 0), limit)
        return documents, str(lsn)


class CosmosContainers:
    """Every container of the account, by database and name."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._account = Account(storage)

    def change_feed(self, database: str, name: str) -> ChangeFeed | None:
        """Return the change feed of a container; None as long as there is no such container.

        A container that is only looked for is not created: whoever creates it decides on its
        partition key.
        """
        if name not in self._storage.containers(database):
            return None
        # Another account may be creating it: what it is must not be remembered yet.
        container = Account(self._storage).container(database, name)
        if container.is_defined:
            return DefinedChangeFeed(container)
        return StoreChangeFeed(container.store)

    async def create(self, database: str, name: str, partition_key: Sequence[str]) -> None:
        """Create the container, and its database, unless they are there.

        *partition_key* has one path, `/tenantId` say, for each level. Raises Invalid for a key or
        name that cannot be.
        """
        if name in self._storage.containers(database):
            return
        kind = "Hash" if len(partition_key) == 1 else "MultiHash"
        definition = {"id": name, "partitionKey": {"paths": list(partition_key), "kind": kind}}
        with _refusals_as_errors():
            if all(known["id"] != database for known in self._account.databases()):
                self._account.create_database(database)
            await self._account.create_container(database, definition)

    async def upsert(self, database: str, name: str, documents: Sequence[dict[str, Any]]) -> None:
        """Write *documents* one by one, as the output binding does.

        Raises:
            NotFound: there is no such container.
            Invalid: a document cannot be written; those before it are.
        """
        with _refusals_as_errors():
            container = self._account.container(database, name)
            for document in documents:
                key = own_partition(document, container.paths)
                await Documents(container).write(key, Verb.UPSERT, document, None)


@contextmanager
def _refusals_as_errors() -> Iterator[None]:
    """Raise what the protocol refuses as an error of the kernel's families."""
    try:
        yield
    except CosmosError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise NotFound(error.message) from error
        raise Invalid(error.message) from error


def _shown(document: Document) -> ShownDocument:
    """Return *document* with its partition key fields and the system fields."""
    raw = raw_of(document.partition, document.id, document.body, None)
    raw["_etag"] = document.etag
    raw["_ts"] = document.changed_at_s
    return raw
