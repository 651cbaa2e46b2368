"""The rows of one container: its tables, and single writes under the rules of Cosmos DB.

A row's number is its `lsn`: every write moves the document to the end of the table, so the table's
order is the change feed and a change costs no second index. The lsn is also the etag, so no number
is given out twice: the next one follows the last row, or the last delete where that is later.
Expired rows are invisible at once and removed later, by a walk over the table that needs no index.
Timers ask across partitions for what is due, so `dueAt` of a body is also a column with an index,
and every list asks for one type, so `type` is a column, before the body that need not be read then.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from local_cloud.sqlite.container_names import checked_container
from shared.persistence.cosmos_form import document_id_of
from shared.persistence.store import BatchRefused, Etag

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{name}" (
  lsn INTEGER PRIMARY KEY, partition TEXT NOT NULL, id TEXT NOT NULL, feed INTEGER NOT NULL,
  changed_at_s INTEGER NOT NULL, expires_at_s INTEGER, ttl_s INTEGER, type TEXT,
  body TEXT NOT NULL, due_at TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS "{name} by key" ON "{name}" (partition, id);
CREATE INDEX IF NOT EXISTS "{name} by due_at" ON "{name}" (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{name} without type" ON "{name}" (type) WHERE type IS NULL;
CREATE TABLE IF NOT EXISTS "{name} lsn" (last INTEGER NOT NULL);
INSERT INTO "{name} lsn" SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM "{name} lsn");
"""
# Until 0.1 `dueAt` was indexed inside the body, which each write of any row paid for.
_DROP_BY_DUE: Final = """
DROP INDEX IF EXISTS "{name} by due";
"""
_ADD_COLUMN: Final = """
ALTER TABLE "{name}" ADD COLUMN {column} TEXT;
"""
_FILL: Final = """
UPDATE "{name}" SET {column} = json_extract(body, '$.body.{field}') WHERE {which}
  CASE WHEN json_valid(body) THEN json_type(body, '$.body.{field}') = 'text' END;
"""
_OF_AN_EARLIER_VERSION: Final = "type IS NULL AND"
"""A version without the columns leaves them empty in what it adds to a file that has them."""
_COLUMNS: Final = {"due_at": "dueAt", "type": "type"}
"""Fields of bodies that are columns too, and came after the first version."""
PURGE_WALK: Final = 5_000
"""Rows that one purge reads, in about 2 ms: a writer waits no longer for it."""
_ETAG: Final = re.compile(r'"?([0-9a-f]{1,15})"?')
LIVE: Final = "(expires_at_s IS NULL OR expires_at_s > ?)"


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
    due_at: str | None = None
    type: str | None = None


class RowContext(NamedTuple):
    """Where and when rows are written: a stored partition, its feed range, the epoch second."""

    partition: str
    feed: int
    now_s: int


def etag_of(lsn: int) -> Etag:
    """Return the etag of a row, quoted as HTTP and Cosmos DB have it."""
    return Etag(f'"{lsn:x}"')


def lsn_of(etag: str) -> int:
    """Return the lsn that `etag_of` was given; 0, which no row has, for anything else."""
    match = _ETAG.fullmatch(etag)
    return int(match[1], 16) if match else 0


def columns_of(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the texts that *body* has in `dueAt` and `type`, as they are stored beside it."""
    return _column(body.get("dueAt")), _column(body.get("type"))


def _column(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode(errors="replace").decode()


class Rows:
    """The SQL of one container."""

    def __init__(self, container: str) -> None:
        """Raises Invalid for a *container* that Cosmos DB would not name so."""
        self.table = table = quoted(checked_container(container))
        numbers = quoted(f"{container} lsn")
        self._purge_after = 0
        self.last = f"SELECT max(last, coalesce((SELECT max(lsn) FROM {table}), 0)) FROM {numbers}"  # noqa: S608
        self._remember = f"UPDATE {numbers} SET last = ?"  # noqa: S608
        self._insert = (
            f"INSERT INTO {table} (lsn, partition, id, feed, changed_at_s, expires_at_s, ttl_s,"  # noqa: S608
            " body, due_at, type) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._upsert = (
            f"{self._insert} ON CONFLICT (partition, id) DO UPDATE SET"
            " lsn = excluded.lsn, changed_at_s = excluded.changed_at_s,"
            " expires_at_s = excluded.expires_at_s, ttl_s = excluded.ttl_s, body = excluded.body,"
            " due_at = excluded.due_at, type = excluded.type"
        )
        self._create = f"{self._upsert} WHERE expires_at_s <= excluded.changed_at_s"
        self._replace = (
            f"UPDATE {table} SET lsn = ?, changed_at_s = ?, expires_at_s = ?, ttl_s = ?, body = ?,"  # noqa: S608
            f" due_at = ?, type = ? WHERE lsn = ? AND partition = ? AND id = ? AND {LIVE}"
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
        self, connection: sqlite3.Connection, writes: Sequence[Write], context: RowContext
    ) -> int:
        """Do *writes* in their order, or none of them; return the lsn of the first.

        Raises:
            BatchRefused: one is refused.
        """
        first = self.next_lsn(connection)
        if self._apply_at_once(connection, writes, first, context):
            return first
        connection.execute("SAVEPOINT batch")
        for index, write in enumerate(writes):
            status = self.apply(connection, write, first + index, context)
            if status:
                connection.execute("ROLLBACK TO batch")
                connection.execute("RELEASE batch")
                raise BatchRefused(status, index, document_id_of(write.id))
        connection.execute("RELEASE batch")
        return first

    def _apply_at_once(
        self,
        connection: sqlite3.Connection,
        writes: Sequence[Write],
        first: int,
        context: RowContext,
    ) -> bool:
        """Do *writes* if they are creates beside at most one replace by etag, as a command's are.

        Returns False with nothing changed when they are not, or when one would be refused.
        Their order makes no difference then, so what can be taken back by its lsn comes first and
        no savepoint is needed. One call for several rows: most of a small statement's time is the
        way into SQLite.
        """
        partition, feed, now_s = context
        rows, replace = [], None
        for lsn, write in enumerate(writes, first):
            verb, stored, text, if_lsn, ttl_s, due_at, kind = write
            ends_s = None if ttl_s is None else now_s + ttl_s
            if verb is Verb.CREATE:
                rows.append(
                    (lsn, partition, stored, feed, now_s, ends_s, ttl_s, text, due_at, kind)
                )
            elif verb is Verb.REPLACE and if_lsn is not None and replace is None:
                replace = (
                    lsn, now_s, ends_s, ttl_s, text, due_at, kind, if_lsn, partition, stored, now_s,
                )  # fmt: skip
            else:
                return False
        is_done = False
        try:
            connection.executemany(self._insert, rows)
            is_done = replace is None or connection.execute(self._replace, replace).rowcount > 0
        except sqlite3.IntegrityError:  # an id is taken, or was and is expired
            return False
        finally:
            if not is_done:
                connection.execute(self._take_back, (first, first + len(writes) - 1))
        return is_done

    def apply(
        self, connection: sqlite3.Connection, write: Write, lsn: int, context: RowContext
    ) -> int:
        """Do *write* at *lsn*.

        Returns the status of the failure (404, 409, 412) with nothing changed, or 0.
        """
        partition, feed, now_s = context
        verb, stored, text, if_lsn, ttl_s, due_at, kind = write
        ends_s = None if ttl_s is None else now_s + ttl_s
        if verb is Verb.CREATE or (verb is Verb.UPSERT and if_lsn is None):
            sql = self._create if verb is Verb.CREATE else self._upsert
            row = (lsn, partition, stored, feed, now_s, ends_s, ttl_s, text, due_at, kind)
            return 0 if connection.execute(sql, row).rowcount else 409
        if if_lsn is None:
            if_lsn = self.find(connection, partition, stored, now_s) or 0
        if verb is Verb.DELETE:
            done = connection.execute(self._delete, (if_lsn, partition, stored, now_s)).rowcount
            if done:
                # No row shows any longer how far the numbers went.
                connection.execute(self._remember, (lsn,))
        else:
            version = (lsn, now_s, ends_s, ttl_s, text, due_at, kind)
            which = (if_lsn, partition, stored, now_s)
            done = connection.execute(self._replace, version + which).rowcount
        if done:
            return 0
        return 404 if self.find(connection, partition, stored, now_s) is None else 412

    def find(
        self, connection: sqlite3.Connection, partition: str, stored: str, now_s: int
    ) -> int | None:
        """Return the lsn of a live row, None when there is none."""
        row = connection.execute(self._find, (partition, stored, now_s)).fetchone()
        return None if row is None else int(row[0])

    def purge(self, connection: sqlite3.Connection, now_s: int) -> int:
        """Remove the expired ones of the next rows; after the last row begin at the first again.

        Returns how many were removed.
        """
        after = self._purge_after
        count, until = connection.execute(self._walk, (after, PURGE_WALK)).fetchone()
        self._purge_after = until if count == PURGE_WALK else 0
        connection.execute(self._remember, (self.next_lsn(connection) - 1,))
        return connection.execute(self._purge, (after, until, now_s)).rowcount


def quoted(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def schema_script(connection: sqlite3.Connection, container: str) -> str:
    """Return the script, which may run again, that makes the tables of *container*."""
    columns = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(container)})")}
    name = quoted(container)[1:-1]
    script = [_DROP_BY_DUE.format(name=name)]
    for column, field in _COLUMNS.items():
        if columns and column not in columns:
            script.append(_ADD_COLUMN.format(name=name, column=column))
            script.append(_FILL.format(name=name, column=column, field=field, which=""))
    script.append(_SCHEMA.format(name=name))
    script += [
        _FILL.format(name=name, column=column, field=field, which=_OF_AN_EARLIER_VERSION)
        for column, field in _COLUMNS.items()
    ]
    return "".join(script)
