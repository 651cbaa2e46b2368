"""Duplicate detection: the message ids that a queue or topic took within its window.

https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection
"""

import sqlite3
from typing import Final

STATEMENTS: Final = (
    """CREATE TABLE IF NOT EXISTS broker_seen (
        entity INTEGER NOT NULL, message_id TEXT NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (entity, message_id)) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS broker_seen_until ON broker_seen (until)""",
)


def create_tables(connection: sqlite3.Connection) -> None:
    for statement in STATEMENTS:
        connection.execute(statement)


def is_new(
    connection: sqlite3.Connection, entity: int, message_id: str, now: float, window_s: float
) -> bool:
    """Take note of *message_id*; return False when *entity* took it less than *window_s* ago."""
    connection.execute("DELETE FROM broker_seen WHERE until <= ?", (now,))
    cursor = connection.execute(
        "INSERT OR IGNORE INTO broker_seen VALUES (?, ?, ?)", (entity, message_id, now + window_s)
    )
    return cursor.rowcount == 1
