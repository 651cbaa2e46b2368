"""The Store port over SQLite: one table a container, the rules of Cosmos DB.

Documents are stored in the form in which Cosmos DB would show them (`cosmos_form`), so the embedded
wire endpoint serves the same rows. `rows` writes them, `pages` reads pages of them.
"""

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from local_cloud.sqlite.database import Database
from local_cloud.sqlite.field_indexes import FieldIndexes
from local_cloud.sqlite.pages import (
    COLUMNS,
    Row,
    bounded,
    document_of_row,
    documents_of,
    page_of,
)
from local_cloud.sqlite.query import Sql
from local_cloud.sqlite.rows import (
    LIVE,
    RowContext,
    Rows,
    Verb,
    Write,
    columns_of,
    etag_of,
    lsn_of,
    schema_script,
)
from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid, Unavailable
from shared.persistence.cosmos_form import checked_ids, encoded_batch, stored_id
from shared.persistence.effective_key import SEPARATOR, feed_range_of, partition_text
from shared.persistence.query_rules import (
    DUE_MAX,
    NUMBER_MAX,
    checked_query,
    feed_limit,
    no_continuation,
)
from shared.persistence.store import (
    BatchOperation,
    ChangePage,
    Create,
    Delete,
    Document,
    Etag,
    Page,
    Partition,
    Prefix,
    Query,
    Replace,
    Upsert,
)

FEED_RANGES: Final = ("0", "1")
PURGE_EVERY_S: Final = 60
_LSN: Final = 3
_POSITION: Final = re.compile(r"[0-9]{1,19}")


class SqliteStore:
    """One container. Several may share a database; two objects may share a container."""

    def __init__(self, database: Database, container: str, clock: Clock) -> None:
        """Create the container's tables if need be. Raises Invalid for a bad name."""
        self.database = database
        self.rows = Rows(container)
        self._indexes = FieldIndexes(container)
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._purge_at_s = 0
        table = self.rows.table
        self._read = f"SELECT {COLUMNS} FROM {table} WHERE partition = ? AND id = ? AND {LIVE}"  # noqa: S608
        self._changes = (
            f"SELECT {COLUMNS} FROM {table}"  # noqa: S608
            f" WHERE lsn > ? AND feed = ? AND {LIVE} ORDER BY lsn LIMIT ?"
        )
        database.prepare(database.read(lambda db: schema_script(db, container)))

    def now(self) -> datetime:
        """Return the time of this store's clock."""
        return self._clock.now()

    def now_s(self) -> int:
        """Return whole epoch seconds of this store's clock."""
        return int(self._clock.now().timestamp())

    async def read(self, partition: Partition, document_id: str) -> Document | None:
        parameters = (partition_text(partition.values), stored_id(document_id), self.now_s())
        row = self.database.read(lambda db: db.execute(self._read, parameters).fetchone())
        return None if row is None else document_of_row(row)

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Mapping[str, Document]:
        stored = [stored_id(document_id) for document_id in checked_ids(ids)]
        marks = ", ".join("?" * len(stored))
        sql = (
            f"SELECT {COLUMNS} FROM {self.rows.table}"  # noqa: S608  only marks are put in
            f" WHERE partition = ? AND id IN ({marks}) AND {LIVE}"
        )
        parameters = (partition_text(partition.values), *stored, self.now_s())
        rows = self.database.read(lambda db: db.execute(sql, parameters).fetchall())
        return {document.id: document for document in map(document_of_row, rows)}

    async def query(self, within: Partition | Prefix, query: Query) -> Page:
        text = partition_text(within.values)
        scope: Sql = ("partition = ?", [text])
        if isinstance(within, Prefix):
            await self._have_indexes(checked_query(query))
            bounds = [text + SEPARATOR, text + chr(ord(SEPARATOR) + 1)]
            scope = ("partition >= ? AND partition < ?", bounds)
        return self._page([scope], query, query.limit)

    async def _have_indexes(self, query: Query) -> None:
        """Have indexes of the fields that *query* filters by; without, it is right and slow."""
        missing = self._indexes.missing(query)
        if not missing:
            return
        with suppress(Unavailable):
            # That reads all documents of the type, also those of other tenants.
            make = partial(self._indexes.make, fields=missing)
            await self.database.write(make, takes_long=True)
            self._indexes.remember(missing)

    async def query_due(self, query: Query) -> Page:
        # The next tick finds what is due beyond one page, so there is no continuation.
        page = self._page([], query, min(query.limit, DUE_MAX))
        return replace(page, continuation=None)

    def _page(self, scope: Sequence[Sql], query: Query, limit: int) -> Page:
        checked_query(query)
        within: Sequence[Sql] = [*scope, (LIVE, [self.now_s()])]

        def work(connection: sqlite3.Connection) -> Page:
            narrowed = self._indexes.narrowed(connection, within, query)
            return page_of(connection, self.rows.table, within, narrowed, limit)

        return self.database.read(work)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        texts = encoded_batch(operations)
        writes = list(map(_write_of, operations, texts))
        stored = partition_text(partition.values)
        context = RowContext(stored, feed_range_of(stored), self.now_s())

        def work(connection: sqlite3.Connection) -> int:
            first = self.rows.apply_all(connection, writes, context)
            self.purge(connection, context.now_s)
            return first

        first = await self.database.write(work, undoes_itself=True)
        self.announce()
        return [
            None if write.verb is Verb.DELETE else etag_of(first + index)
            for index, write in enumerate(writes)
        ]

    def purge(self, connection: sqlite3.Connection, now_s: int) -> None:
        """Remove expired rows, about once a minute; part of some writer's transaction."""
        if now_s >= self._purge_at_s:
            self.rows.purge(connection, now_s)
            self._purge_at_s = now_s + PURGE_EVERY_S

    async def feed_ranges(self) -> Sequence[str]:
        return FEED_RANGES

    async def changes(
        self, feed_range: str, continuation: str | None, *, limit: int = 100
    ) -> ChangePage:
        if feed_range not in FEED_RANGES:
            raise Invalid(f"a feed range is one of {', '.join(FEED_RANGES)}, got {feed_range!r}")
        after, limit = _position(continuation), feed_limit(limit)
        parameters = (after, int(feed_range), self.now_s(), limit)

        def work(connection: sqlite3.Connection) -> tuple[int, list[Row], bool]:
            # The end is read first: a commit in between is seen again, never missed.
            end = connection.execute(self.rows.last).fetchone()[0]
            with closing(connection.execute(self._changes, parameters)) as cursor:
                return end, *bounded(cursor, limit)

        end, rows, is_full = self.database.read(work)
        last = rows[-1][_LSN] if rows else after
        is_full = is_full or len(rows) == limit
        documents, unreadable = documents_of(rows)
        return ChangePage(documents, str(last if is_full else max(end, last)), unreadable)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call *listener* after each write of this object is durable; return what ends that.

        It is called on the writer's event loop and must be quick; it may miss nothing but says
        only that `changes` is worth asking.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def announce(self) -> None:
        """Tell the listeners that something was written."""
        for listener in tuple(self._listeners):
            listener()


_VERBS: Final = {Create: Verb.CREATE, Replace: Verb.REPLACE, Upsert: Verb.UPSERT}


def _write_of(operation: BatchOperation, text: bytes) -> Write:
    stored = stored_id(operation.id)
    if isinstance(operation, Delete):
        if_lsn = None if operation.if_match is None else lsn_of(operation.if_match)
        return Write(Verb.DELETE, stored, if_lsn=if_lsn)
    if_lsn = lsn_of(operation.if_match) if isinstance(operation, Replace) else None
    return Write(
        _VERBS[type(operation)],
        stored,
        f'{{"body":{text.decode()}}}',
        if_lsn,
        operation.ttl_s,
        *columns_of(operation.body),
    )


def _position(continuation: str | None) -> int:
    """Return the lsn to read on from. Raises Invalid."""
    text = continuation or "0"
    if not _POSITION.fullmatch(text) or int(text) > NUMBER_MAX:
        raise no_continuation(continuation)
    return int(text)
