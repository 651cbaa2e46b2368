"""The Table port over SQLite: rows by (partition key, row key), values as JSON."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from local_cloud.sqlite.database import Database
from shared.persistence.query_rules import page_limit
from shared.persistence.table_rules import checked_rows, checked_table
from shared.persistence.tables import DELETED_MAX, RowExists, TableRow

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{name}" (
  partition_key TEXT NOT NULL, row_key TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (partition_key, row_key)) WITHOUT ROWID;
"""


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
