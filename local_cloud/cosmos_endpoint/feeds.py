"""Reads many documents of a container: for a query, and as its change feed."""

import json
import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.document_form import COLUMNS, DocumentForm
from local_cloud.cosmos_endpoint.partition_ranges import PartitionRange
from local_cloud.cosmos_endpoint.query.selection import Tied
from local_cloud.cosmos_endpoint.resource_ids import document_number
from local_cloud.sqlite.pages import Row, bounded
from local_cloud.sqlite.rows import LIVE

_log = logging.getLogger(__name__)
_LSN: Final = 3


class Feeds:
    """The documents of one container, many at a time."""

    def __init__(self, container: Container) -> None:
        self._link = container.link
        self._store = container.store
        self._form = DocumentForm(container)
        table = container.store.rows.table
        self._all = f"SELECT {COLUMNS} FROM {table} WHERE {LIVE}"  # noqa: S608
        self._feed = f"SELECT {COLUMNS} FROM {table} WHERE lsn > ? AND {LIVE}"  # noqa: S608
        self._before = f"SELECT coalesce(max(lsn), 0) FROM {table} WHERE changed_at_s < ?"  # noqa: S608

    @property
    def last_lsn(self) -> int:
        row = self._store.database.read(lambda db: db.execute(self._store.rows.last).fetchone())
        return int(row[0])

    def lsn_before(self, second: int) -> int:
        """Return the lsn behind which are all changes since the epoch second *second*."""
        row = self._store.database.read(lambda db: db.execute(self._before, (second,)).fetchone())
        return int(row[0])

    def rows(self, partitions: PartitionRange, ids: Collection[str] | None) -> list[Row]:
        """Return the rows of *partitions*, with one of *ids* where they are given, by their ids."""
        sql, parameters = partitions.restricted(self._all, [self._store.now_s()])
        if ids is not None:
            sql += " AND id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(ids)))
        sql += " ORDER BY id, partition"
        rows = self._store.database.read(lambda db: db.execute(sql, parameters).fetchall())
        return [row for row in rows if partitions.holds(row[0])]

    def documents(self, rows: Sequence[Row], *, by_rid: bool = False) -> Iterator[Tied]:
        """Yield the documents of *rows* in their order, or in that of their resource ids."""
        if not by_rid:
            for row in rows:
                if (document := self._readable(row)) is not None:
                    yield [row[1], row[0]], document
            return
        for number, row in sorted((document_number(row[0], row[1]), row) for row in rows):
            if (document := self._readable(row)) is not None:
                yield [number], document

    def changed(
        self, partitions: PartitionRange, after: int, limit: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the latest versions behind lsn *after*, oldest first, and where to go on."""
        sql, parameters = partitions.restricted(self._feed, [after, self._store.now_s()])

        def work(connection: sqlite3.Connection) -> tuple[list[Row], bool]:
            with closing(connection.execute(f"{sql} ORDER BY lsn", parameters)) as cursor:
                return bounded((row for row in cursor if partitions.holds(row[0])), limit)

        end = self.last_lsn
        rows, more = self._store.database.read(work)
        documents = [
            document | {"_lsn": row[_LSN]}
            for row in rows
            if (document := self._readable(row)) is not None
        ]
        return documents, int(rows[-1][_LSN]) if more else max(end, after)

    def _readable(self, row: Row) -> dict[str, Any] | None:
        """Return the document of *row*; None for a damaged one, which must not stop the others."""
        try:
            return self._form.shown(row)
        except ValueError:
            _log.exception("document %r of %s is left out", row[1], self._link)
            return None
