"""A container in memory, and functions that follow its changes, without a host around them."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from local_cloud.cosmos_containers import StoreChangeFeed
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from local_host.cosmos_db.change_feed_processor import ChangeFeedProcessor
from local_host.cosmos_db.connections import CosmosSource
from local_host.cosmos_db.host_leases import HostLeases
from local_host.cosmos_db.leases import Leases
from local_host.cosmos_db.settings import feed_settings_of
from local_host.cosmos_db.trigger import CosmosDbListener
from local_host.model import Binding, IndexedFunction, RetryPolicy
from shared.persistence.store import Partition, Upsert
from tests.kit.service_bus import DirectInvoker
from tests.kit.virtual_time import LoopClock

PARTITION = Partition("tenant", "environment")


class Handler:
    """A function that remembers the ids it was shown, and fails its first invocations."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.shown: list[list[str]] = []
        self.documents: list[func.Document] = []

    async def __call__(self, documents: func.DocumentList) -> None:
        self.shown.append([document["id"] for document in documents])
        self.documents += documents
        if len(self.shown) <= self.failures:
            raise RuntimeError("the function fails")

    @property
    def ids(self) -> list[str]:
        return [document_id for batch in self.shown for document_id in batch]


def follows(
    handler: Callable[..., Any],
    *,
    name: str = "handler",
    retry: RetryPolicy | None = None,
    **binding: Any,
) -> IndexedFunction:
    properties = {"databaseName": "runtime", "containerName": "things", **binding}
    trigger = Binding("cosmosDBTrigger", "documents", "in", properties)
    return IndexedFunction(name, "app", handler, True, trigger, [trigger], retry=retry)


@dataclass
class World:
    """What outlives a host: the container and `host.db`."""

    host: Database = field(default_factory=lambda: Database(MEMORY))
    things: Database = field(default_factory=lambda: Database(MEMORY))
    failures: deque[Exception] = field(default_factory=deque)
    """What looking for the container raises, one after the other."""

    def __post_init__(self) -> None:
        self.store = SqliteStore(self.things, "things", LoopClock())

    async def _find(self, *_: str) -> StoreChangeFeed:
        if self.failures:
            raise self.failures.popleft()
        return StoreChangeFeed(self.store)

    async def write(self, *ids: str, **body: Any) -> None:
        for document_id in ids:
            await self.store.batch(PARTITION, [Upsert(document_id, body or {"is": document_id})])

    @asynccontextmanager
    async def following(
        self, function: IndexedFunction, *, grace_s: float = 10, leases: Leases | None = None
    ) -> AsyncIterator[CosmosDbListener]:
        clock, leases = LoopClock(), leases or HostLeases(self.host)
        source = CosmosSource(self._find, leases)
        processor = ChangeFeedProcessor(
            function,
            feed_settings_of(function),
            find=self._find,
            leases=leases,
            place="the store",
            invoker=DirectInvoker(),
            clock=clock,
        )
        listener = CosmosDbListener([processor], [source], grace_s=grace_s)
        await listener.start()
        try:
            yield listener
        finally:
            await listener.stop()
