"""Leases of feeds of the host's own cloud, in `host.db`. Its host is alone in its folder."""

import sqlite3
from typing import Final

from local_cloud.sqlite.database import Database
from local_host.cosmos_db.settings import FeedSettings

_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS cosmos_lease (
    lease TEXT NOT NULL, feed_range TEXT NOT NULL, continuation TEXT NOT NULL,
    PRIMARY KEY (lease, feed_range)) WITHOUT ROWID"""


class HostLeases:
    """How far each lease has come in each feed range; nobody else can hold one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        await self._database.write(lambda connection: connection.execute(_SCHEMA))

    async def take(self, feed: FeedSettings, feed_range: str) -> "HostLease":
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT continuation FROM cosmos_lease WHERE lease = ? AND feed_range = ?",
                (feed.lease, feed_range),
            ).fetchone()
        )
        return HostLease(self._database, feed.lease, feed_range, row and str(row[0]))


class HostLease:
    """One row of `host.db`."""

    is_lost = False

    def __init__(
        self, database: Database, lease: str, feed_range: str, continuation: str | None
    ) -> None:
        self._database = database
        self._key = (lease, feed_range)
        self.continuation = continuation

    async def move(self, continuation: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO cosmos_lease VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET continuation = excluded.continuation",
                (*self._key, continuation),
            )

        await self._database.write(write)
        self.continuation = continuation

    async def release(self) -> None:
        """Do nothing: the next host of the folder goes on from the row."""
