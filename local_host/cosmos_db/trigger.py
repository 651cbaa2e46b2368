"""The Cosmos DB part of the host: triggers that follow the change feed of an embedded container.

What the real trigger does, and this one too: inserts and updates only, the latest version of each
document, in order within a feed range; at least once; a batch whose function failed is *not* shown
again unless the function has a retry policy (azure-webjobs-sdk-extensions#412, #837). The place in
the feed is kept under the lease's name, not the function's, so renaming a function loses nothing.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-trigger

Unlike Azure the feed is not only polled: a store in this process says when it was written to.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import azure.functions as func

from local_cloud.change_feed import ChangeSource, Shown, changes_of, output_sink
from local_cloud.notifications import Arrivals
from local_cloud.storage import LocalStorage
from local_host.invocation.retry import invoke_with_retry
from local_host.model import (
    Extension,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    Invoker,
    Surroundings,
)
from shared.kernel.clock import Clock
from shared.persistence.sqlite import Database

_log = logging.getLogger(__name__)
TRIGGER: Final = "cosmosDBTrigger"
BINDING: Final = "cosmosDB"
DEFAULT_POLL_MS: Final = 5000
DEFAULT_MAX_ITEMS: Final = 100
_SKIP_PAGE: Final = 1000
_SHARED_LEASE: Final = (
    "it shares its leases with {holder}, so each change would reach only one of them; "
    "give each its own lease_container_prefix"
)
_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS cosmos_lease (
    lease TEXT NOT NULL, feed_range TEXT NOT NULL, continuation TEXT NOT NULL,
    PRIMARY KEY (lease, feed_range)) WITHOUT ROWID"""


@dataclass(frozen=True)
class FeedSettings:
    """One trigger's binding, read."""

    database: str
    container: str
    lease: str
    """What Azure derives a lease's name from: functions that share it share the changes."""
    poll_s: float
    max_items: int
    from_beginning: bool


def feed_settings_of(function: IndexedFunction) -> FeedSettings:
    """Read the trigger's binding, in the names of extension 4 or, where different, of 3."""
    trigger = function.trigger
    database = trigger.text("databaseName")
    container = trigger.text("containerName") or trigger.text("collectionName")
    lease_database = trigger.text("leaseDatabaseName") or database
    lease_container = trigger.text("leaseContainerName") or trigger.text("leaseCollectionName")
    prefix = trigger.text("leaseContainerPrefix") or trigger.text("leaseCollectionPrefix")
    lease = f"{lease_database}/{lease_container or 'leases'}/{prefix}/{database}/{container}"
    return FeedSettings(
        database,
        container,
        lease,
        poll_s=int(trigger.text("feedPollDelay") or DEFAULT_POLL_MS) / 1000,
        max_items=int(trigger.text("maxItemsPerInvocation") or DEFAULT_MAX_ITEMS),
        from_beginning=trigger.flag("startFromBeginning"),
    )


def cosmos_db(surroundings: Surroundings, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the part of the host that serves `cosmosDBTrigger`."""
    triggered = [function for function in functions if function.triggered_by(TRIGGER)]
    refusals = dict(_refusals(triggered))
    embedding = surroundings.embedding
    leases = Leases(surroundings.database)
    feeds = [
        Feed(
            function,
            settings,
            find=partial(changes_of, embedding.storage, settings.database, settings.container),
            leases=leases,
            invoker=surroundings.invoker,
            clock=embedding.clock,
        )
        for function in triggered
        if function.name not in refusals
        for settings in (feed_settings_of(function),)
    ]
    storage = embedding.storage
    outputs = {BINDING: output_sink(storage)} if isinstance(storage, LocalStorage) else {}
    listener = CosmosDbListener(feeds, leases, clock=embedding.clock, grace_s=surroundings.grace_s)
    return Extension(
        triggers=frozenset({TRIGGER}),
        listener=listener,
        outputs=outputs,
        refusals=refusals,
    )


def _refusals(functions: Sequence[IndexedFunction]) -> Iterator[tuple[str, str]]:
    """Yield why a function cannot run; in Azure both of these fail silently or later."""
    holders: dict[str, str] = {}
    for function in functions:
        if function.trigger.text("startFromTime"):
            yield function.name, "startFromTime is not served here; write start_from_beginning=True"
        holder = holders.setdefault(feed_settings_of(function).lease, function.name)
        if holder != function.name:
            yield function.name, _SHARED_LEASE.format(holder=holder)


class Leases:
    """How far each lease has come in each feed range."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        await self._database.write(lambda connection: connection.execute(_SCHEMA))

    def read(self, lease: str, feed_range: str) -> str | None:
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT continuation FROM cosmos_lease WHERE lease = ? AND feed_range = ?",
                (lease, feed_range),
            ).fetchone()
        )
        return None if row is None else str(row[0])

    async def move(self, lease: str, feed_range: str, continuation: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO cosmos_lease VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET continuation = excluded.continuation",
                (lease, feed_range, continuation),
            )

        await self._database.write(write)


class CosmosDbListener:
    """Follows every feed."""

    def __init__(
        self, feeds: Sequence["Feed"], leases: Leases, *, clock: Clock, grace_s: float
    ) -> None:
        self._feeds = feeds
        self._leases = leases
        self._clock = clock
        self._grace_s = grace_s

    async def start(self) -> None:
        """Returns once the place of every feed is stored: what is written later is shown."""
        await self._leases.prepare()
        for feed in self._feeds:
            await feed.start()

    async def stop(self) -> None:
        await asyncio.gather(*(feed.stop(self._grace_s) for feed in self._feeds))


class Feed:
    """Shows one function what changed in one container, each feed range on its own."""

    def __init__(
        self,
        function: IndexedFunction,
        settings: FeedSettings,
        *,
        find: Callable[[], ChangeSource | None],
        leases: Leases,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self._function = function
        self._settings = settings
        self._find = find
        self._leases = leases
        self._invoker = invoker
        self._clock = clock
        self._changed = Arrivals()
        self._stopping = False
        self._followers: list[asyncio.Task[None]] = []
        self._end_announcements: Callable[[], None] = lambda: None

    async def start(self) -> None:
        source = self._find()
        if source is None:
            self._begin(self._await_container())
        else:
            await self._follow_all(source, from_beginning=self._settings.from_beginning)

    async def _await_container(self) -> None:
        """Look again after each poll delay; what is in the container then, came after the start."""
        _log.warning(
            "%s waits for the container %s/%s, which does not exist",
            self._function.name,
            self._settings.database,
            self._settings.container,
        )
        while not self._stopping:
            await self._pause(self._changed.count)
            source = self._find()
            if source is not None:
                await self._follow_all(source, from_beginning=True)
                return

    async def _follow_all(self, source: ChangeSource, *, from_beginning: bool) -> None:
        self._end_announcements = source.on_change(self._changed.notify)
        for feed_range in await source.feed_ranges():
            place = self._leases.read(self._settings.lease, feed_range)
            if place is None and not from_beginning:
                place = await self._end_of(source, feed_range)
            self._begin(self._follow(source, feed_range, place))

    def _begin(self, follower: Coroutine[object, object, None]) -> None:
        self._followers.append(asyncio.create_task(follower, name=self._function.name))

    async def stop(self, grace_s: float) -> None:
        """A batch that does not end within *grace_s* is cut off, and shown again next time."""
        self._stopping = True
        self._end_announcements()
        self._changed.notify()
        if not self._followers:
            return
        grace = asyncio.ensure_future(self._clock.sleep(grace_s))
        ended = asyncio.gather(*self._followers, return_exceptions=True)
        await asyncio.wait((grace, ended), return_when=asyncio.FIRST_COMPLETED)
        grace.cancel()
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)

    async def _end_of(self, source: ChangeSource, feed_range: str) -> str:
        """Return the place behind everything there is, which from now on is the lease's."""
        place: str | None = None
        while True:
            documents, place = await source.changes(feed_range, place, _SKIP_PAGE)
            if not documents:
                await self._leases.move(self._settings.lease, feed_range, place)
                return place

    async def _follow(self, source: ChangeSource, feed_range: str, place: str | None) -> None:
        while not self._stopping:
            seen = self._changed.count
            try:
                moved = await self._show_next(source, feed_range, place)
            except Exception:  # noqa: BLE001  a feed that is not followed is worse than any of them
                _log.exception("following the changes for %s failed", self._function.name)
                await self._pause(seen)
                continue
            if moved == place:
                await self._pause(seen)
            place = moved

    async def _show_next(
        self, source: ChangeSource, feed_range: str, place: str | None
    ) -> str | None:
        """Show the function one page, if there is one; return the place behind it."""
        documents, behind = await source.changes(feed_range, place, self._settings.max_items)
        if not documents:
            return place
        await self._invoke(documents)
        await self._leases.move(self._settings.lease, feed_range, behind)
        return behind

    async def _invoke(self, documents: Sequence[Shown]) -> None:
        argument = func.DocumentList(func.Document(document) for document in documents)
        invocation = Invocation(self._function, {self._function.trigger.name: argument})
        try:
            await invoke_with_retry(invocation, invoker=self._invoker, clock=self._clock)
        except InvocationFailed as failed:
            _log.error(
                "%s failed on %d documents from %r on, which it will not see again: %s",
                self._function.name,
                len(documents),
                documents[0]["id"],
                failed.text,
            )

    async def _pause(self, seen: int) -> None:
        """Return after the poll delay, or at once when the store was written to."""
        changed = asyncio.ensure_future(self._changed.since(seen))
        delay = asyncio.ensure_future(self._clock.sleep(self._settings.poll_s))
        try:
            await asyncio.wait((changed, delay), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            delay.cancel()
