"""The broker's statements on sessions; each function runs inside one transaction."""

import sqlite3
from typing import Final

STATEMENTS: Final = (
    """CREATE INDEX IF NOT EXISTS broker_delivery_of_session
        ON broker_delivery (queue, session, message) WHERE session IS NOT NULL""",
    """CREATE TABLE IF NOT EXISTS broker_session_state (
        queue INTEGER NOT NULL, session TEXT NOT NULL, state BLOB NOT NULL,
        updated_at REAL NOT NULL, PRIMARY KEY (queue, session)) WITHOUT ROWID""",
)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables; add to the deliveries of an earlier version the columns that they lack."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(broker_delivery)")}
    for name, kind in (("session", "TEXT"), ("changes", "BLOB")):
        if name not in columns:
            connection.execute(f"ALTER TABLE broker_delivery ADD COLUMN {name} {kind}")
    for statement in STATEMENTS:
        connection.execute(statement)


def ready(connection: sqlite3.Connection, queue: int, now: float) -> list[str]:
    """Return the sessions that have something ready, that with the oldest message first."""
    rows = connection.execute(
        "SELECT session FROM broker_delivery WHERE queue = ? AND session IS NOT NULL AND "
        "lock_token IS NULL AND (expires_at IS NULL OR expires_at > ?) "
        "GROUP BY session ORDER BY min(message)",
        (queue, now),
    )
    return [row[0] for row in rows]


def names(
    connection: sqlite3.Connection, queue: int, skip: int, top: int, updated_after: float | None
) -> list[str]:
    """Return names of sessions in order: those with messages or a state, or *updated_after*."""
    if updated_after is None:
        rows = connection.execute(
            "SELECT session FROM broker_delivery WHERE queue = ? AND session IS NOT NULL UNION "
            "SELECT session FROM broker_session_state WHERE queue = ? ORDER BY 1 LIMIT ? OFFSET ?",
            (queue, queue, top, skip),
        )
    else:
        rows = connection.execute(
            "SELECT session FROM broker_session_state WHERE queue = ? AND updated_at > ? "
            "ORDER BY 1 LIMIT ? OFFSET ?",
            (queue, updated_after, top, skip),
        )
    return [row[0] for row in rows]


def state(connection: sqlite3.Connection, queue: int, session: str) -> bytes | None:
    row = connection.execute(
        "SELECT state FROM broker_session_state WHERE queue = ? AND session = ?", (queue, session)
    ).fetchone()
    return None if row is None else bytes(row[0])


def set_state(
    connection: sqlite3.Connection, queue: int, session: str, state: bytes | None, now: float
) -> None:
    key = (queue, session)
    if state is None:
        connection.execute("DELETE FROM broker_session_state WHERE queue = ? AND session = ?", key)
    else:
        connection.execute(
            "REPLACE INTO broker_session_state VALUES (?, ?, ?, ?)", (*key, state, now)
        )
