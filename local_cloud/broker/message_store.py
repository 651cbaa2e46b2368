"""The broker's tables and every statement on them; each function runs inside one transaction.

A message is stored once, whatever the number of subscriptions that got a copy: a *delivery* is the
row that a queue or subscription works through. Entity 7's dead-letter sub-queue has the number -7,
so dead-lettering is one update. A scheduled message lies apart until it is due: only then is it
given its sequence number and matched against filters, as in Service Bus.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from local_cloud.broker.message import Disposition, EncodedMessage

STATEMENTS: Final = (
    """CREATE TABLE IF NOT EXISTS broker_entity (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL, definition TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS broker_message (
        id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, properties TEXT NOT NULL,
        enqueued_at REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS broker_delivery (
        queue INTEGER NOT NULL, message INTEGER NOT NULL, delivery_count INTEGER NOT NULL,
        lock_token TEXT, expires_at REAL, dead_letter_reason TEXT, dead_letter_description TEXT,
        session TEXT, changes BLOB, PRIMARY KEY (queue, message)) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS broker_delivery_of_message ON broker_delivery (message)""",
    """CREATE INDEX IF NOT EXISTS broker_delivery_expiry ON broker_delivery (expires_at)
        WHERE expires_at IS NOT NULL""",
    """CREATE TABLE IF NOT EXISTS broker_scheduled (
        id INTEGER PRIMARY KEY AUTOINCREMENT, entity INTEGER NOT NULL, due_at REAL NOT NULL,
        body BLOB NOT NULL, properties TEXT NOT NULL, time_to_live_s REAL)""",
    """CREATE INDEX IF NOT EXISTS broker_scheduled_due ON broker_scheduled (due_at)""",
)

MAX_DELIVERY_COUNT_EXCEEDED: Final = "MaxDeliveryCountExceeded"
TIME_TO_LIVE_EXPIRED: Final = "TTLExpiredException"
SCHEDULED: Final = "scheduled"
"""In place of a lock, of what is not due yet."""
DEFERRED: Final = "deferred"
"""The token of a delivery that was set aside; with `:` and a GUID behind it, it is locked.

So a query for what is ready passes it by, and one that is given up is set aside again."""


_SESSION_OF_SCHEDULED: Final = "json_extract(properties, '$[8]')"
"""Where `message.encode` has the session of an AMQP client's message."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One disposition of one lock. `max_delivery_count` None: the count never dead-letters it."""

    queue: int
    message: int
    lock_token: str
    disposition: Disposition
    delivery_count: int
    max_delivery_count: int | None
    reason: str = ""
    description: str = ""
    changes: bytes = b""


@dataclass(frozen=True, slots=True)
class Copy:
    """Where one copy of a message goes, and until when it lives (seconds from now).

    With a `lock_token` it is on its first delivery at once.
    """

    queue: int
    time_to_live_s: float | None
    lock_token: str | None = None
    session: str | None = None
    """Where the queue requires sessions."""
    dead_letter_reason: str | None = None
    """In a dead-letter sub-queue: it never was in the queue itself."""


DeliveryRow = tuple[
    int, int, int, bytes, str, float, float | None,
    str | None, str | None, str | None, str | None, bytes | None,
]  # fmt: skip
"""queue, message, delivery count, body, properties, enqueued at, expires at, reason, text, lock,
session, changes."""
_COLUMNS: Final = (
    "d.queue, d.message, d.delivery_count, m.body, m.properties, m.enqueued_at, d.expires_at, "
    "d.dead_letter_reason, d.dead_letter_description, d.lock_token, d.session, "
    "d.changes"
)


def create_tables(connection: sqlite3.Connection) -> None:
    for statement in STATEMENTS:
        connection.execute(statement)


def load_entities(connection: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
    """Return id, path, kind and definition of every entity, parents before children."""
    return connection.execute(
        "SELECT id, path, kind, definition FROM broker_entity ORDER BY path"
    ).fetchall()


def save_entity(connection: sqlite3.Connection, path: str, kind: str, definition: str) -> int:
    """Create the entity, or give it a new definition; its messages stay."""
    row = connection.execute(
        "INSERT INTO broker_entity (path, kind, definition) VALUES (?, ?, ?) "
        "ON CONFLICT (path) DO UPDATE SET definition = excluded.definition RETURNING id",
        (path, kind, definition),
    ).fetchone()
    return int(row[0])


def enqueue(
    connection: sqlite3.Connection, message: EncodedMessage, copies: Sequence[Copy], now: float
) -> int:
    """Store *message* once and one delivery for each of *copies*; return its sequence number."""
    if not copies:
        return 0
    sequence_number = connection.execute(
        "INSERT INTO broker_message (body, properties, enqueued_at) VALUES (?, ?, ?)",
        (message.body, message.properties, now),
    ).lastrowid
    assert sequence_number is not None
    connection.executemany(
        "INSERT INTO broker_delivery (queue, message, delivery_count, lock_token, expires_at, "
        "session, dead_letter_reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                copy.queue,
                sequence_number,
                0 if copy.lock_token is None else 1,
                copy.lock_token,
                None if copy.time_to_live_s is None else now + copy.time_to_live_s,
                copy.session,
                copy.dead_letter_reason,
            )
            for copy in copies
        ],
    )
    return sequence_number


def schedule(
    connection: sqlite3.Connection, entity: int, message: EncodedMessage, due_at: float
) -> int:
    """Store *message* until it is due; return the number by which it can be cancelled."""
    # Numbered in one row with those that are enqueued: who peeks goes on behind the last that it
    # saw. An older version numbered them by themselves.
    next_number = connection.execute(
        "INSERT INTO broker_message (body, properties, enqueued_at) VALUES ('', '', 0)"
    ).lastrowid
    connection.execute("DELETE FROM broker_message WHERE id = ?", (next_number,))
    row = connection.execute(
        "INSERT INTO broker_scheduled (id, entity, due_at, body, properties, time_to_live_s) VALUES"
        " (max(?, (SELECT coalesce(max(id), 0) + 1 FROM broker_scheduled)), ?, ?, ?, ?, ?)"
        " RETURNING id",
        (next_number, entity, due_at, message.body, message.properties, message.time_to_live_s),
    ).fetchone()
    return int(row[0])


def cancel_scheduled(connection: sqlite3.Connection, entity: int, numbers: Sequence[int]) -> int:
    """Drop those of *numbers* that are not due yet; return how many there were."""
    return sum(
        connection.execute(
            "DELETE FROM broker_scheduled WHERE entity = ? AND id = ?",
            (entity, number),
        ).rowcount
        for number in numbers
    )


def take_due(connection: sqlite3.Connection, now: float) -> list[tuple[int, EncodedMessage]]:
    """Remove and return what is due, oldest first, with the entity each belongs to."""
    rows = connection.execute(
        "DELETE FROM broker_scheduled WHERE due_at <= ? "
        "RETURNING id, due_at, entity, body, properties, time_to_live_s",
        (now,),
    ).fetchall()
    rows.sort(key=lambda row: (row[1], row[0]))
    return [(row[2], EncodedMessage(row[3], row[4], row[5])) for row in rows]


def lock(
    connection: sqlite3.Connection,
    queue: int,
    limit: int,
    now: float,
    token: Callable[[], str],
    session: str | None = None,
) -> list[tuple[DeliveryRow, str]]:
    """Lock up to *limit* of what is ready, oldest first, and count the delivery."""
    of_session = "" if session is None else "AND d.session = ? "
    rows: list[DeliveryRow] = connection.execute(
        f"SELECT {_COLUMNS} FROM broker_delivery d JOIN broker_message m ON m.id = d.message "  # noqa: S608  constant
        "WHERE d.queue = ? AND d.lock_token IS NULL AND (d.expires_at IS NULL OR d.expires_at > ?) "
        f"{of_session}ORDER BY d.message LIMIT ?",
        (queue, now, limit) if session is None else (queue, now, session, limit),
    ).fetchall()
    locked = [(row, token()) for row in rows]
    connection.executemany(
        "UPDATE broker_delivery SET lock_token = ?, delivery_count = delivery_count + 1 "
        "WHERE queue = ? AND message = ?",
        [(lock_token, row[0], row[1]) for row, lock_token in locked],
    )
    return locked


def lock_deferred(
    connection: sqlite3.Connection, queue: int, numbers: Sequence[int], token: Callable[[], str]
) -> list[tuple[DeliveryRow, str]]:
    """Lock those of *numbers* that were set aside and are not locked, and count the delivery."""
    locked = []
    for number in numbers:
        row: DeliveryRow | None = connection.execute(
            f"SELECT {_COLUMNS} FROM broker_delivery d JOIN broker_message m ON m.id = d.message "  # noqa: S608  constant
            "WHERE d.queue = ? AND d.message = ? AND d.lock_token = ?",
            (queue, number, DEFERRED),
        ).fetchone()
        if row is None:
            continue
        lock_token = f"{DEFERRED}:{token()}"
        connection.execute(
            "UPDATE broker_delivery SET lock_token = ?, delivery_count = delivery_count + 1 "
            "WHERE queue = ? AND message = ?",
            (lock_token, queue, number),
        )
        locked.append((row, lock_token))
    return locked


def peek(
    connection: sqlite3.Connection, queue: int, after: int, limit: int, session: str | None = None
) -> list[DeliveryRow]:
    """Return what is there, locked or not, from the first sequence number above *after*."""
    of_session = "" if session is None else "AND d.session = ? "
    return connection.execute(
        f"SELECT {_COLUMNS} FROM broker_delivery d JOIN broker_message m ON m.id = d.message "  # noqa: S608  constant
        f"WHERE d.queue = ? AND d.message > ? {of_session}ORDER BY d.message LIMIT ?",
        (queue, after, limit) if session is None else (queue, after, session, limit),
    ).fetchall()


def peek_scheduled(
    connection: sqlite3.Connection, queue: int, after: int, limit: int, session: str | None = None
) -> list[DeliveryRow]:
    """Return what is not due yet, by the numbers by which it can be cancelled."""
    of_session = "" if session is None else f"AND {_SESSION_OF_SCHEDULED} = ? "
    return connection.execute(
        "SELECT entity, id, 0, body, properties, due_at, due_at + time_to_live_s, NULL, NULL,"  # noqa: S608  constant
        f" ?, {_SESSION_OF_SCHEDULED}, NULL FROM broker_scheduled"
        f" WHERE entity = ? AND id > ? {of_session}ORDER BY id LIMIT ?",
        (SCHEDULED, queue, after, *(() if session is None else (session,)), limit),
    ).fetchall()


def settle(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> list[bool]:
    """Apply each; return for each whether its lock still held. A lost lock changes nothing."""
    held: list[bool] = []
    completed: list[int] = []
    for each in settlements:
        changed = _settle_one(connection, each)
        held.append(changed)
        if changed and each.disposition is Disposition.COMPLETE:
            completed.append(each.message)
    drop_orphans(connection, completed)
    return held


def _settle_one(connection: sqlite3.Connection, each: Settlement) -> bool:
    where = "WHERE queue = ? AND message = ? AND lock_token = ?"
    key = (each.queue, each.message, each.lock_token)
    disposition = each.disposition
    was_deferred = each.lock_token.startswith(DEFERRED)
    unlocked = DEFERRED if was_deferred or disposition is Disposition.DEFER else None
    used_up = each.max_delivery_count is not None and each.delivery_count >= each.max_delivery_count
    if each.changes:
        connection.execute(
            f"UPDATE broker_delivery SET changes = ? {where}",  # noqa: S608  constant
            (each.changes, *key),
        )
    if disposition is Disposition.COMPLETE:
        cursor = connection.execute(f"DELETE FROM broker_delivery {where}", key)  # noqa: S608  constant
    elif disposition is Disposition.RELEASE:
        cursor = connection.execute(
            f"UPDATE broker_delivery SET lock_token = ?, delivery_count = delivery_count - 1 {where}",  # noqa: E501, S608  constant
            (unlocked, *key),
        )
    elif disposition is Disposition.DEFER or (disposition is Disposition.ABANDON and not used_up):
        cursor = connection.execute(
            f"UPDATE broker_delivery SET lock_token = ? {where}",  # noqa: S608  constant
            (unlocked, *key),
        )
    else:
        reason, description = each.reason, each.description
        if disposition is Disposition.ABANDON:
            reason = MAX_DELIVERY_COUNT_EXCEEDED
            description = f"not settled in {each.delivery_count} deliveries"
        cursor = connection.execute(
            "UPDATE broker_delivery SET queue = -abs(queue), lock_token = NULL, expires_at = NULL, "  # noqa: S608  constant
            f"dead_letter_reason = ?, dead_letter_description = ? {where}",
            (reason, description, *key),
        )
    return cursor.rowcount == 1


def drop_orphans(connection: sqlite3.Connection, messages: Sequence[int]) -> None:
    """Delete those of *messages* that no queue holds any more."""
    connection.executemany(
        "DELETE FROM broker_message WHERE id = ? AND NOT EXISTS "
        "(SELECT 1 FROM broker_delivery WHERE message = broker_message.id)",
        [(message,) for message in messages],
    )


def locked_deliveries(connection: sqlite3.Connection) -> list[tuple[int, int, str, int]]:
    """Return queue, message, lock token and delivery count of everything locked."""
    return connection.execute(
        "SELECT queue, message, lock_token, delivery_count FROM broker_delivery "
        "WHERE lock_token IS NOT NULL AND lock_token <> ?",
        (DEFERRED,),
    ).fetchall()


def expire(connection: sqlite3.Connection, now: float, dead_letters: Callable[[int], bool]) -> int:
    """Drop or dead-letter what is unlocked and over its time to live; return how many."""
    rows = connection.execute(
        "SELECT queue, message FROM broker_delivery WHERE expires_at <= ? AND lock_token IS NULL",
        (now,),
    ).fetchall()
    kept = [row for row in rows if dead_letters(row[0])]
    dropped = [row for row in rows if not dead_letters(row[0])]
    connection.executemany(
        "UPDATE broker_delivery SET queue = -queue, expires_at = NULL, dead_letter_reason = ?, "
        "dead_letter_description = 'not received within its time to live' "
        "WHERE queue = ? AND message = ?",
        [(TIME_TO_LIVE_EXPIRED, *row) for row in kept],
    )
    connection.executemany("DELETE FROM broker_delivery WHERE queue = ? AND message = ?", dropped)
    drop_orphans(connection, [row[1] for row in dropped])
    return len(rows)


def next_due_at(connection: sqlite3.Connection) -> float | None:
    """Return the epoch second at which something is due or expires; None when nothing will."""
    row = connection.execute(
        "SELECT min(at) FROM (SELECT min(due_at) AS at FROM broker_scheduled UNION ALL "
        "SELECT min(expires_at) FROM broker_delivery "
        "WHERE expires_at IS NOT NULL AND lock_token IS NULL)"
    ).fetchone()
    return None if row[0] is None else float(row[0])


def revive(connection: sqlite3.Connection, queue: int, message: int) -> bool:
    """Move a dead letter back to the queue it came from, its count at zero."""
    cursor = connection.execute(
        "UPDATE broker_delivery SET queue = -queue, delivery_count = 0, lock_token = NULL, "
        "dead_letter_reason = NULL, dead_letter_description = NULL "
        "WHERE queue = ? AND message = ?",
        (-queue, message),
    )
    return cursor.rowcount == 1


def discard(connection: sqlite3.Connection, queue: int, message: int) -> bool:
    """Delete a dead letter for good."""
    cursor = connection.execute(
        "DELETE FROM broker_delivery WHERE queue = ? AND message = ?", (-queue, message)
    )
    drop_orphans(connection, [message])
    return cursor.rowcount == 1


def count(connection: sqlite3.Connection) -> dict[int, int]:
    """Return the number of messages by queue number; dead-letter sub-queues are negative."""
    return dict(
        connection.execute("SELECT queue, count(*) FROM broker_delivery GROUP BY queue").fetchall()
    )
