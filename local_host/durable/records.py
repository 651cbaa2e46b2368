"""The engine's tables: instances, their histories, messages to them, entities.

History is the only record of what is scheduled: after a restart, activities without a completion
run again and timers without a firing are scheduled again. `open_calls` and `wake_at` of an instance
only tell whether its history has to be read for that. All functions take a connection inside a
transaction of `local_cloud.sqlite.database.Database`.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from local_host.durable.history import Event

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS durable_instances (
    hub TEXT NOT NULL, id TEXT NOT NULL, execution TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT NOT NULL, status TEXT NOT NULL, input TEXT, output TEXT, custom_status TEXT,
    parent TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    open_calls INTEGER NOT NULL, wake_at TEXT, PRIMARY KEY (hub, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS durable_instances_by_status ON durable_instances (hub, status);
CREATE TABLE IF NOT EXISTS durable_history (
    hub TEXT NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, events TEXT NOT NULL,
    PRIMARY KEY (hub, id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS durable_messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, hub TEXT NOT NULL, id TEXT NOT NULL,
    execution TEXT, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS durable_messages_by_id ON durable_messages (hub, id, seq);
CREATE TABLE IF NOT EXISTS durable_entities (
    hub TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
    updated_at TEXT NOT NULL, PRIMARY KEY (hub, name, key)
) WITHOUT ROWID;
"""

PENDING: Final = "Pending"
RUNNING: Final = "Running"
CONTINUED: Final = "ContinuedAsNew"
SUSPENDED: Final = "Suspended"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
TERMINATED: Final = "Terminated"
CANCELED: Final = "Canceled"
FINISHED: Final = frozenset({COMPLETED, FAILED, TERMINATED, CANCELED})
_UNFINISHED: Final = (PENDING, RUNNING, CONTINUED, SUSPENDED)


@dataclass(slots=True)
class Instance:
    """One row; `input`, `output`, `custom_status` and `parent` are JSON texts."""

    id: str
    execution: str
    name: str
    version: str
    status: str
    input: str | None
    output: str | None
    custom_status: str | None
    parent: str | None
    created_at: str
    updated_at: str
    open_calls: int = 0
    wake_at: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way to an instance; to one execution of it, or to whichever is there.

    `seq` is None while the message is not kept: it can be derived from history again.
    """

    id: str
    execution: str | None
    event: Event
    seq: int | None = None


class AlreadyExists(Exception):
    """The instance id is in use by an instance that has not finished."""

    def __init__(self, instance_id: str, status: str) -> None:
        super().__init__(
            f"An Orchestration instance with the status {status} already exists: {instance_id}"
        )


class Superseded(Exception):
    """Another engine has changed what the episode began with; nothing of it was stored."""


_COLUMNS: Final = (
    "id, execution, name, version, status, input, output, custom_status, parent, created_at, "
    "updated_at, open_calls, wake_at"
)


def find(connection: sqlite3.Connection, hub: str, instance_id: str) -> Instance | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM durable_instances WHERE hub=? AND id=?",  # noqa: S608  constants
        (hub, instance_id),
    ).fetchone()
    return Instance(*row) if row else None


def unfinished(connection: sqlite3.Connection, hub: str) -> list[Instance]:
    """Return the instances that a restart has to resume."""
    marks = ",".join("?" * len(_UNFINISHED))
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM durable_instances WHERE hub=? AND status IN ({marks}) "  # noqa: S608
        "ORDER BY created_at, id",
        (hub, *_UNFINISHED),
    )
    return [Instance(*row) for row in rows]


def select(
    connection: sqlite3.Connection,
    hub: str,
    *,
    statuses: Sequence[str] = (),
    created_from: str = "",
    created_to: str = "",
    prefix: str = "",
    after: str = "",
    limit: int = -1,
) -> list[Instance]:
    """Return instances in order of their ids, beginning behind the id *after*."""
    where, values = ["hub=?", "id>?"], [hub, after]
    if statuses:
        where.append(f"status IN ({','.join('?' * len(statuses))})")
        values.extend(statuses)
    if created_from:
        where.append("created_at>=?")
        values.append(created_from)
    if created_to:
        where.append("created_at<=?")
        values.append(created_to)
    if prefix:
        where.append("substr(id, 1, ?)=?")
        values.extend([str(len(prefix)), prefix])
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM durable_instances WHERE {' AND '.join(where)} "  # noqa: S608
        "ORDER BY id LIMIT ?",
        (*values, limit),
    )
    return [Instance(*row) for row in rows]


def create(connection: sqlite3.Connection, hub: str, instance: Instance) -> None:
    """Add *instance*; a finished one of the same id is replaced with its history.

    Raises:
        AlreadyExists: the id is in use.
    """
    current = find(connection, hub, instance.id)
    if current is not None:
        if not current.is_finished:
            raise AlreadyExists(instance.id, current.status)
        erase(connection, hub, instance.id)
    connection.execute(
        f"INSERT INTO durable_instances (hub, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
        (
            hub, instance.id, instance.execution, instance.name, instance.version, instance.status,
            instance.input, instance.output, instance.custom_status, instance.parent,
            instance.created_at, instance.updated_at, instance.open_calls, instance.wake_at,
        ),
    )  # fmt: skip


def erase(connection: sqlite3.Connection, hub: str, instance_id: str) -> None:
    """Remove an instance with everything that belongs to it."""
    for table in ("durable_instances", "durable_history", "durable_messages"):
        connection.execute(f"DELETE FROM {table} WHERE hub=? AND id=?", (hub, instance_id))  # noqa: S608


def history(connection: sqlite3.Connection, hub: str, instance_id: str) -> list[str]:
    """Return the pieces of an instance's history, in order."""
    rows = connection.execute(
        "SELECT events FROM durable_history WHERE hub=? AND id=? ORDER BY position",
        (hub, instance_id),
    )
    return [row[0] for row in rows]


def append_history(
    connection: sqlite3.Connection, hub: str, instance_id: str, position: int, piece: str
) -> None:
    connection.execute(
        "INSERT INTO durable_history (hub, id, position, events) VALUES (?,?,?,?)",
        (hub, instance_id, position, piece),
    )


def clear_history(connection: sqlite3.Connection, hub: str, instance_id: str) -> None:
    connection.execute("DELETE FROM durable_history WHERE hub=? AND id=?", (hub, instance_id))


def update(connection: sqlite3.Connection, hub: str, execution: str, after: Instance) -> None:
    """Store what an episode made of the instance, which must still be at *execution*.

    Raises:
        Superseded: it is not.
    """
    cursor = connection.execute(
        "UPDATE durable_instances SET execution=?, status=?, input=?, output=?, custom_status=?, "
        "updated_at=?, open_calls=?, wake_at=? WHERE hub=? AND id=? AND execution=?",
        (
            after.execution, after.status, after.input, after.output, after.custom_status,
            after.updated_at, after.open_calls, after.wake_at, hub, after.id, execution,
        ),
    )  # fmt: skip
    if cursor.rowcount != 1:
        raise Superseded(after.id)


def send(connection: sqlite3.Connection, hub: str, message: Message) -> Message:
    """Keep *message*; return it with its place in the order."""
    cursor = connection.execute(
        "INSERT INTO durable_messages (hub, id, execution, event) VALUES (?,?,?,?)",
        (hub, message.id, message.execution, json.dumps(message.event, separators=(",", ":"))),
    )
    return Message(message.id, message.execution, message.event, cursor.lastrowid)


def messages(connection: sqlite3.Connection, hub: str, target: str) -> list[Message]:
    rows = connection.execute(
        "SELECT id, execution, event, seq FROM durable_messages WHERE hub=? AND id=? ORDER BY seq",
        (hub, target),
    )
    return [Message(row[0], row[1], json.loads(row[2]), row[3]) for row in rows]


def targets(connection: sqlite3.Connection, hub: str) -> list[str]:
    """Return the instances and entities (`@name@key`) that have waiting messages."""
    rows = connection.execute(
        "SELECT id FROM durable_messages WHERE hub=? GROUP BY id ORDER BY MIN(seq)", (hub,)
    )
    return [row[0] for row in rows]


def forget_messages(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Remove messages that an episode has taken.

    Raises:
        Superseded: one was taken already.
    """
    cursor = connection.executemany(
        "DELETE FROM durable_messages WHERE seq=?", [(seq,) for seq in seqs]
    )
    if cursor.rowcount != len(seqs):
        raise Superseded(", ".join(map(str, seqs)))


def forget_all_messages(connection: sqlite3.Connection, hub: str, target: str) -> None:
    connection.execute("DELETE FROM durable_messages WHERE hub=? AND id=?", (hub, target))


def entity_state(connection: sqlite3.Connection, hub: str, name: str, key: str) -> str | None:
    """Return the state as JSON text, None when the entity does not exist."""
    row = connection.execute(
        "SELECT state FROM durable_entities WHERE hub=? AND name=? AND key=?", (hub, name, key)
    ).fetchone()
    return row[0] if row else None


def set_entity_state(
    connection: sqlite3.Connection, hub: str, name: str, key: str, state: str | None, at: str
) -> None:
    """Store *state*, or remove the entity when it is None."""
    if state is None:
        connection.execute(
            "DELETE FROM durable_entities WHERE hub=? AND name=? AND key=?", (hub, name, key)
        )
        return
    connection.execute(
        "INSERT OR REPLACE INTO durable_entities (hub, name, key, state, updated_at) "
        "VALUES (?,?,?,?,?)",
        (hub, name, key, state, at),
    )


def entities(
    connection: sqlite3.Connection, hub: str, name: str | None
) -> list[tuple[str, str, str, str]]:
    """Return name, key, state and time of the last change of the entities (of one name)."""
    rows = connection.execute(
        "SELECT name, key, state, updated_at FROM durable_entities WHERE hub=? "
        "AND (? IS NULL OR name=?) ORDER BY name, key",
        (hub, name, name),
    )
    return list(rows)
