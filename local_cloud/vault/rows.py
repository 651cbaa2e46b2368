"""The tables of one vault: secrets, and their versions in the order in which they were made.

Functions take a connection inside a transaction of `Database`. Instants are whole epoch seconds.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS vault (name TEXT PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (
  name TEXT PRIMARY KEY COLLATE NOCASE, deleted_at INTEGER, purge_at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL COLLATE NOCASE REFERENCES secrets (name),
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, enabled INTEGER NOT NULL,
  expires_at INTEGER, not_before INTEGER, content_type TEXT, tags TEXT, sealed BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS versions_of_a_secret ON versions (name, seq);
"""
_COLUMNS: Final = (
    "s.name, v.version, v.created_at, v.updated_at, v.sealed, v.enabled, v.expires_at,"
    " v.not_before, v.content_type, v.tags, s.deleted_at, s.purge_at"
)
_LAST: Final = f"""
SELECT {_COLUMNS} FROM secrets s JOIN versions v ON v.name = s.name
 AND v.seq = (SELECT max(seq) FROM versions WHERE name = s.name)"""  # noqa: S608  no input
_IS_LIVE: Final = "s.deleted_at IS NULL"
_IS_DELETED: Final = "s.purge_at > :now"
NameChange = Callable[[sqlite3.Connection, str], None]
"""Changes the secret of a name."""


@dataclass(frozen=True)
class StoredVersion:
    """One version as the vault keeps it; `sealed` is its encrypted value."""

    name: str
    version: str
    created_at: datetime
    updated_at: datetime
    sealed: bytes
    enabled: bool = True
    expires_at: datetime | None = None
    not_before: datetime | None = None
    """For its readers to heed, as `expires_at`: the vault does not."""
    content_type: str | None = None
    tags: Mapping[str, str] | None = None
    deleted_at: datetime | None = None
    purge_at: datetime | None = None


@dataclass(frozen=True)
class Changes:
    """What an update changes of a version: all but None."""

    enabled: bool | None = None
    expires_at: datetime | None = None
    not_before: datetime | None = None
    content_type: str | None = None
    tags: Mapping[str, str] | None = None

    def applied(self, version: StoredVersion, now: datetime) -> StoredVersion:
        """Return *version* after these changes at *now*."""
        changed = {name: value for name, value in vars(self).items() if value is not None}
        return replace(version, **changed, updated_at=now)


def is_made(connection: sqlite3.Connection) -> bool:
    """Return whether the tables are there; they are made together."""
    sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'vault'"
    return bool(connection.execute(sql).fetchone()[0])


def insert(connection: sqlite3.Connection, version: StoredVersion) -> None:
    """Add *version*, and its secret where there is none."""
    connection.execute("INSERT OR IGNORE INTO secrets (name) VALUES (?)", (version.name,))
    connection.execute(
        "INSERT INTO versions (version, name, created_at, updated_at, enabled, expires_at,"
        " not_before, content_type, tags, sealed) VALUES (:version, :name, :created_at,"
        " :updated_at, :enabled, :expires_at, :not_before, :content_type, :tags, :sealed)",
        _parameters(version),
    )


def update(connection: sqlite3.Connection, version: StoredVersion) -> None:
    """Write the attributes of *version*, which is there."""
    connection.execute(
        "UPDATE versions SET updated_at = :updated_at, enabled = :enabled,"
        " expires_at = :expires_at, not_before = :not_before, content_type = :content_type,"
        " tags = :tags WHERE version = :version",
        _parameters(version),
    )


def live(connection: sqlite3.Connection, name: str, version: str | None) -> StoredVersion | None:
    """Return *version* of a secret that is not deleted; without one the last."""
    if version is None:
        return _one(connection, f"{_LAST} WHERE s.name = :name AND {_IS_LIVE}", name=name)
    sql = (
        f"SELECT {_COLUMNS} FROM secrets s JOIN versions v ON v.name = s.name"  # noqa: S608  ours
        f" WHERE s.name = :name AND {_IS_LIVE} AND v.version = :version"
    )
    return _one(connection, sql, name=name, version=version.lower())


def deleted(connection: sqlite3.Connection, name: str, now: datetime) -> StoredVersion | None:
    """Return the last version of a deleted secret."""
    sql = f"{_LAST} WHERE s.name = :name AND {_IS_DELETED}"
    return _one(connection, sql, name=name, now=_seconds(now))


def live_page(connection: sqlite3.Connection, after: str, limit: int) -> Sequence[StoredVersion]:
    """Return the last versions of secrets named behind *after*."""
    sql = f"{_LAST} WHERE s.name > :after AND {_IS_LIVE} ORDER BY s.name LIMIT :limit"
    return _all(connection, sql, after=after, limit=limit)


def deleted_page(
    connection: sqlite3.Connection, after: str, limit: int, now: datetime
) -> Sequence[StoredVersion]:
    """Return the last versions of deleted secrets named behind *after*."""
    sql = f"{_LAST} WHERE s.name > :after AND {_IS_DELETED} ORDER BY s.name LIMIT :limit"
    return _all(connection, sql, after=after, limit=limit, now=_seconds(now))


def version_page(
    connection: sqlite3.Connection, name: str, before: str, limit: int
) -> Sequence[StoredVersion]:
    """Return versions of a secret that is not deleted, newest first, older than *before*.

    An empty *before* begins with the newest; one that is not there has nothing before it.
    """
    sql = (
        f"SELECT {_COLUMNS} FROM secrets s JOIN versions v ON v.name = s.name"  # noqa: S608  ours
        f" WHERE s.name = :name AND {_IS_LIVE} AND (:before = '' OR v.seq <"
        " (SELECT seq FROM versions WHERE version = :before)) ORDER BY v.seq DESC LIMIT :limit"
    )
    return _all(connection, sql, name=name, before=before, limit=limit)


def mark_deleted(
    connection: sqlite3.Connection, name: str, at: datetime, purge_at: datetime
) -> None:
    connection.execute(
        "UPDATE secrets SET deleted_at = ?, purge_at = ? WHERE name = ?",
        (_seconds(at), _seconds(purge_at), name),
    )


def mark_recovered(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(
        "UPDATE secrets SET deleted_at = NULL, purge_at = NULL WHERE name = ?", (name,)
    )


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Remove a secret with every version."""
    connection.execute("DELETE FROM versions WHERE name = ?", (name,))
    connection.execute("DELETE FROM secrets WHERE name = ?", (name,))


def remove_due(connection: sqlite3.Connection, now: datetime) -> None:
    """Remove the deleted secrets whose time to be recovered is over."""
    due = connection.execute("SELECT name FROM secrets WHERE purge_at <= ?", (_seconds(now),))
    for (name,) in due.fetchall():
        remove(connection, name)


def _one(connection: sqlite3.Connection, sql: str, **parameters: object) -> StoredVersion | None:
    row = connection.execute(sql, parameters).fetchone()
    return None if row is None else _version(row)


def _all(connection: sqlite3.Connection, sql: str, **parameters: object) -> list[StoredVersion]:
    return [_version(row) for row in connection.execute(sql, parameters).fetchall()]


def _version(row: Sequence[Any]) -> StoredVersion:
    name, version, created, updated, sealed, enabled, expires, not_before = row[:8]
    content_type, tags, deleted_at, purge_at = row[8:]
    return StoredVersion(
        name,
        version,
        _known_instant(created),
        _known_instant(updated),
        sealed,
        bool(enabled),
        _instant(expires),
        _instant(not_before),
        content_type,
        None if tags is None else json.loads(tags),
        _instant(deleted_at),
        _instant(purge_at),
    )


def _parameters(version: StoredVersion) -> dict[str, object]:
    instants = ("created_at", "updated_at", "expires_at", "not_before")
    seconds = {name: _seconds(getattr(version, name)) for name in instants}
    tags = None if version.tags is None else json.dumps(dict(version.tags))
    return {**vars(version), **seconds, "tags": tags}


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else _known_instant(seconds)


def _known_instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
