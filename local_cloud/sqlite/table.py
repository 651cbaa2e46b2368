"""The Table port over SQLite: rows by (partition key, row key), values as JSON."""

import json
import sqlite3
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from local_cloud.sqlite.database import Database
from shared.persistence.query_rules import page_limit
from shared.persistence.table_rules import checked_rows, checked_table
from shared.persistence.tables import DELETED_MAX, RowExists, TableRow

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{name}" (
  partition_key TEXT NOT NULL, row_key TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (partition_key, row_key)) WITHOUT ROWID;
"""
PAGE_MAX_BYTES: Final = 4 * 1024 * 1024
"""What one page for the wire holds, unless a single row is larger."""
_OPERATORS: Final = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class Verb(Enum):
    INSERT = auto()
    """The row must not be there."""
    PUT = auto()
    DELETE = auto()
    """The row must be there."""


class Change(NamedTuple):
    """One part of a transaction; of a row that is deleted only the keys are read."""

    verb: Verb
    row: TableRow


class ChangeRefused(Exception):
    """The change at `index` met a row, or met none, against its verb; nothing was changed."""

    def __init__(self, index: int) -> None:
        super().__init__(f"change {index} of a transaction was refused")
        self.index = index


class RowPage(NamedTuple):
    """Rows in order of their keys, and the key of the row after them, None at the end."""

    rows: Sequence[TableRow]
    next_key: str | None


class SqliteTable:
    """One table. Several may share a database."""

    def __init__(self, database: Database, name: str) -> None:
        """Create the table if need be. Raises Invalid for a name that Azure would refuse."""
        self._database = database
        table = f'"{checked_table(name)}"'
        insert = f"INTO {table} VALUES (?, ?, ?)"
        self._insert = f"INSERT {insert} ON CONFLICT DO NOTHING"
        self._upsert = f"INSERT OR REPLACE {insert}"
        self._get = f"SELECT * FROM {table} WHERE partition_key = ? AND row_key = ?"  # noqa: S608
        self._scan = f"SELECT * FROM {table} WHERE partition_key = ? AND row_key > ?"  # noqa: S608
        self._page = f"SELECT * FROM {table} WHERE partition_key = ?"  # noqa: S608
        self._delete_one = f"DELETE FROM {table} WHERE partition_key = ? AND row_key = ?"  # noqa: S608
        self._delete = (
            f"DELETE FROM {table} WHERE (partition_key, row_key) IN (SELECT partition_key, row_key"  # noqa: S608
            f" FROM {table} WHERE partition_key = ? AND row_key < ? ORDER BY row_key LIMIT ?)"
        )
        database.prepare(_SCHEMA.format(name=name))

    async def insert(self, rows: Sequence[TableRow]) -> None:
        entities = _entities(rows)

        def work(connection: sqlite3.Connection) -> None:
            for entity in entities:
                if not connection.execute(self._insert, entity).rowcount:
                    raise RowExists(entity[1])

        await self._database.write(work)

    async def upsert(self, rows: Sequence[TableRow]) -> None:
        entities = _entities(rows)
        await self._database.write(lambda db: db.executemany(self._upsert, entities).rowcount)

    async def get(self, partition_key: str, row_key: str) -> TableRow | None:
        key = (partition_key, row_key)
        entity = self._database.read(lambda db: db.execute(self._get, key).fetchone())
        return None if entity is None else _row_of(entity)

    async def scan(
        self,
        partition_key: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[TableRow]:
        parameters: list[object] = [partition_key, after]
        sql = self._scan
        if before is not None:
            sql += " AND row_key < ?"
            parameters.append(before)
        sql += f" ORDER BY row_key {'DESC' if newest_first else 'ASC'} LIMIT ?"
        parameters.append(page_limit(limit))
        entities = self._database.read(lambda db: db.execute(sql, parameters).fetchall())
        return tuple(map(_row_of, entities))

    def page(self, partition_key: str, bounds: Sequence[tuple[str, str]], limit: int) -> RowPage:
        """Return the first *limit* rows, 4 MiB of them, whose keys are within *bounds*.

        A bound is a comparison of Azure's filters (`eq`, `gt`, `ge`, `lt`, `le`) and a key.
        """
        sql = self._page + "".join(f" AND row_key {_OPERATORS[name]} ?" for name, _ in bounds)
        parameters = [partition_key, *(key for _, key in bounds)]

        def work(connection: sqlite3.Connection) -> RowPage:
            rows: list[TableRow] = []
            size = 0
            for entity in connection.execute(f"{sql} ORDER BY row_key", parameters):
                size += len(entity[2])
                if len(rows) == limit or (rows and size > PAGE_MAX_BYTES):
                    return RowPage(rows, entity[1])
                rows.append(_row_of(entity))
            return RowPage(rows, None)

        return self._database.read(work)

    async def change(self, changes: Sequence[Change]) -> None:
        """Do all of *changes*, at most 100 of one partition and each of another row, or none.

        Raises:
            ChangeRefused: one met a row, or met none, against its verb.
            Invalid: a row is none that Table storage takes, or the keys do not agree.
            TooLarge: too much for one transaction.
        """
        entities = _entities([change.row for change in changes])
        statements = {Verb.INSERT: self._insert, Verb.PUT: self._upsert}

        def work(connection: sqlite3.Connection) -> None:
            for index, (change, entity) in enumerate(zip(changes, entities, strict=True)):
                if change.verb is Verb.DELETE:
                    done = connection.execute(self._delete_one, entity[:2])
                else:
                    done = connection.execute(statements[change.verb], entity)
                if not done.rowcount:
                    raise ChangeRefused(index)

        await self._database.write(work)

    async def delete_before(self, partition_key: str, row_key: str) -> int:
        parameters = (partition_key, row_key, DELETED_MAX)
        return await self._database.write(lambda db: db.execute(self._delete, parameters).rowcount)


def _entities(rows: Sequence[TableRow]) -> list[tuple[str, str, str]]:
    """Return *rows* as SQL parameters, if one transaction may write them."""
    return [(row.partition_key, row.row_key, _text(row)) for row in checked_rows(rows)]


def _text(row: TableRow) -> str:
    return json.dumps(dict(row.values), separators=(",", ":"))


def _row_of(entity: Sequence[Any]) -> TableRow:
    partition_key, row_key, text = entity
    return TableRow(partition_key, row_key, json.loads(text))
