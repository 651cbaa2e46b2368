"""The leases of Cosmos DB triggers: how far each has come in each feed range."""

import sqlite3
from typing import Final

from local_cloud.sqlite.database import Database

_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS cosmos_lease (
    lease TEXT NOT NULL, feed_range TEXT NOT NULL, continuation TEXT NOT NULL,
    PRIMARY KEY (lease, feed_range)) WITHOUT ROWID"""


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
