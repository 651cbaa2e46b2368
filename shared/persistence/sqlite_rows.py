"""The rows of one container: single writes on an open transaction, under the rules of Cosmos DB.

A row's number is its `lsn`: every write moves the document to the end of the table, so the table's
order is the change feed and a change costs no second index. The lsn is also the etag, so no number
is given out twice: the next one follows the last row, or the last delete where that is later.
Expired rows are invisible at once and removed later, by a walk over the table that needs no index.
Timers ask across partitions for what is due: that alone has an index on a field of the body, of the
rows that have it.
"""

import re
import sqlite3
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from shared.kernel.errors import Invalid
from shared.persistence.store import Etag

PURGE_WALK: Final = 5_000
"""Rows looked at in one purge, about 2 ms: a bound on what one writer does for others."""
LIVE: Final = "(expires_at_s IS NULL OR expires_at_s > ?)"
_CONTAINER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{name}" (
  lsn INTEGER PRIMARY KEY, partition TEXT NOT NULL, id TEXT NOT NULL, feed INTEGER NOT NULL,
  changed_at_s INTEGER NOT NULL, expires_at_s INTEGER, ttl_s INTEGER, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS "{name} by key" ON "{name}" (partition, id);
CREATE INDEX IF NOT EXISTS "{name} by due" ON "{name}" (json_extract(body, '$.body.dueAt'))
  WHERE instr(body, '"dueAt"') > 0 AND json_type(body, '$.body.dueAt') = 'text';
CREATE TABLE IF NOT EXISTS "{name} lsn" (last INTEGER NOT NULL);
INSERT INTO "{name} lsn" SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM "{name} lsn");
"""


class Verb(Enum):
    CREATE = auto()
    UPSERT = auto()
    REPLACE = auto()
    DELETE = auto()


class Write(NamedTuple):
    """One write of a stored id. `if_lsn` None writes whatever version is there."""

    verb: Verb
    id: str
    text: str = ""
    if_lsn: int | None = None
    ttl_s: int | None = None


class Applied(NamedTuple):
    """How a batch went: its first lsn, how many writes were done, the refusal's status or 0."""

    first_lsn: int
    done: int
    status: int


Key = tuple[str, int]
"""A stored partition and its feed range."""


def etag_of(lsn: int) -> Etag:
    """Return the etag of a row, quoted as HTTP and Cosmos DB have it."""
    return Etag(f'"{lsn:x}"')


def lsn_of(etag: str) -> int:
    """Return the lsn that `etag_of` was given; 0, which no row has, for anything else."""
    try:
        return int(etag.strip('"'), 16)
    except ValueError:
        return 0


class Rows:
    """The SQL of one container."""

    def __init__(self, container: str) -> None:
        """Raises Invalid for a *container* that Cosmos DB would not name so."""
        if not _CONTAINER.fullmatch(container):
            raise Invalid(
                f"a container's name is letters, digits, - and _, at most 255, got {container!r}"
            )
        self.schema = _SCHEMA.format(name=container)
        self.table = table = f'"{container}"'
        self._purge_after = 0
        self.last = (
            f'SELECT max(last, coalesce((SELECT max(lsn) FROM {table}), 0)) FROM "{container} lsn"'  # noqa: S608
        )
        self._remember = f'UPDATE "{container} lsn" SET last = ?'  # noqa: S608
        self._insert = (
            f"INSERT INTO {table} (lsn, partition, id, feed, changed_at_s, expires_at_s, ttl_s,"  # noqa: S608
            " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        insert = (
            f"{self._insert} ON CONFLICT (partition, id) DO UPDATE SET"
            " lsn = excluded.lsn, changed_at_s = excluded.changed_at_s,"
            " expires_at_s = excluded.expires_at_s, ttl_s = excluded.ttl_s, body = excluded.body"
        )
        self._upsert = insert
        self._create = f"{insert} WHERE expires_at_s <= excluded.changed_at_s"
        self._replace = (
            f"UPDATE {table} SET lsn = ?, changed_at_s = ?, expires_at_s = ?, ttl_s = ?, body = ?"  # noqa: S608
            f" WHERE lsn = ? AND partition = ? AND id = ? AND {LIVE}"
        )
        self._delete = f"DELETE FROM {table} WHERE lsn = ? AND partition = ? AND id = ? AND {LIVE}"  # noqa: S608
        self._take_back = f"DELETE FROM {table} WHERE lsn BETWEEN ? AND ?"  # noqa: S608
        self._find = f"SELECT lsn FROM {table} WHERE partition = ? AND id = ? AND {LIVE}"  # noqa: S608
        self._walk = (
            "SELECT count(*), coalesce(max(lsn), 0)"  # noqa: S608
            f" FROM (SELECT lsn FROM {table} WHERE lsn > ? ORDER BY lsn LIMIT ?)"
        )
        self._purge = f"DELETE FROM {table} WHERE lsn > ? AND lsn <= ? AND expires_at_s <= ?"  # noqa: S608

    def next_lsn(self, connection: sqlite3.Connection) -> int:
        """Return the first number that no committed write was given, also none before a crash."""
        return int(connection.execute(self.last).fetchone()[0]) + 1

    def apply_all(
        self, connection: sqlite3.Connection, writes: Sequence[Write], *, key: Key, now_s: int
    ) -> Applied:
        """Do *writes* in their order and stop at the first that is refused."""
        first = self.next_lsn(connection)
        done = 0
        while done < len(writes):
            creates = _leading_creates(writes, done)
            if len(creates) > 1 and self._insert_at_once(
                connection, creates, lsn=first + done, key=key, now_s=now_s
            ):
                done += len(creates)
                continue
            status = self.apply(connection, writes[done], lsn=first + done, key=key, now_s=now_s)
            if status:
                return Applied(first, done, status)
            done += 1
        return Applied(first, done, 0)

    def _insert_at_once(
        self,
        connection: sqlite3.Connection,
        creates: Sequence[Write],
        *,
        lsn: int,
        key: Key,
        now_s: int,
    ) -> bool:
        """Insert all of *creates*, or none when an id is taken or expired; say which.

        One call for several rows: most of a small statement's time is the way into SQLite.
        """
        partition, feed = key
        rows = [
            (
                lsn + place, partition, write.id, feed, now_s,
                None if write.ttl_s is None else now_s + write.ttl_s, write.ttl_s, write.text,
            )
            for place, write in enumerate(creates)
        ]  # fmt: skip
        try:
            connection.executemany(self._insert, rows)
        except sqlite3.IntegrityError:
            connection.execute(self._take_back, (lsn, lsn + len(creates) - 1))
            return False
        return True

    def apply(
        self,
        connection: sqlite3.Connection,
        write: Write,
        *,
        lsn: int,
        key: Key,
        now_s: int,
    ) -> int:
        """Do *write* at *lsn* in *key*.

        Returns the status of the failure (404, 409, 412) with nothing changed, or 0.
        """
        partition, feed = key
        ends_s = None if write.ttl_s is None else now_s + write.ttl_s
        verb = write.verb
        if verb is Verb.CREATE or (verb is Verb.UPSERT and write.if_lsn is None):
            done = connection.execute(
                self._create if verb is Verb.CREATE else self._upsert,
                (lsn, partition, write.id, feed, now_s, ends_s, write.ttl_s, write.text),
            ).rowcount
            return 0 if done else 409
        expected = write.if_lsn
        if expected is None:
            expected = self.find(connection, partition, write.id, now_s) or 0
        if verb is Verb.DELETE:
            done = connection.execute(self._delete, (expected, partition, write.id, now_s)).rowcount
            if done:
                # No row shows any longer how far the numbers went.
                connection.execute(self._remember, (lsn,))
        else:
            done = connection.execute(
                self._replace,
                (lsn, now_s, ends_s, write.ttl_s, write.text, expected, partition, write.id, now_s),
            ).rowcount
        if done:
            return 0
        return 404 if self.find(connection, partition, write.id, now_s) is None else 412

    def find(
        self, connection: sqlite3.Connection, partition: str, stored: str, now_s: int
    ) -> int | None:
        """Return the lsn of a live row, None when there is none."""
        row = connection.execute(self._find, (partition, stored, now_s)).fetchone()
        return None if row is None else int(row[0])

    def purge(self, connection: sqlite3.Connection, now_s: int) -> int:
        """Remove what is expired among the next rows, and begin anew behind the last one.

        Returns how many were removed.
        """
        after = self._purge_after
        count, until = connection.execute(self._walk, (after, PURGE_WALK)).fetchone()
        self._purge_after = until if count == PURGE_WALK else 0
        connection.execute(self._remember, (self.next_lsn(connection) - 1,))
        return connection.execute(self._purge, (after, until, now_s)).rowcount


def _leading_creates(writes: Sequence[Write], start: int) -> Sequence[Write]:
    end = start
    while end < len(writes) and writes[end].verb is Verb.CREATE:
        end += 1
    return writes[start:end]
