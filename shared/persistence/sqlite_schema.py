"""The tables of one container, and what makes an older file's tables these."""

import re
import sqlite3
from typing import Final

from shared.kernel.errors import Invalid

_CONTAINER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{name}" (
  lsn INTEGER PRIMARY KEY, partition TEXT NOT NULL, id TEXT NOT NULL, feed INTEGER NOT NULL,
  changed_at_s INTEGER NOT NULL, expires_at_s INTEGER, ttl_s INTEGER, body TEXT NOT NULL,
  due_at TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS "{name} by key" ON "{name}" (partition, id);
CREATE INDEX IF NOT EXISTS "{name} by due_at" ON "{name}" (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS "{name} lsn" (last INTEGER NOT NULL);
INSERT INTO "{name} lsn" SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM "{name} lsn");
"""
# Until 0.1 `dueAt` was indexed inside the body, which each write of any row paid for.
_ADD_DUE_AT: Final = """
DROP INDEX IF EXISTS "{name} by due";
ALTER TABLE "{name}" ADD COLUMN due_at TEXT;
UPDATE "{name}" SET due_at = json_extract(body, '$.body.dueAt') WHERE
  CASE WHEN json_valid(body) THEN json_type(body, '$.body.dueAt') = 'text' END;
"""


def checked_container(name: str) -> str:
    """Return *name* if Cosmos DB would name a container so. Raises Invalid."""
    if not _CONTAINER.fullmatch(name):
        raise Invalid(f"a container's name is letters, digits, - and _, at most 255, got {name!r}")
    return name


def schema_script(connection: sqlite3.Connection, container: str) -> str:
    """Return the script, which may run again, that makes the tables of *container*."""
    columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{container}")')}
    is_older = bool(columns) and "due_at" not in columns
    return (_ADD_DUE_AT if is_older else "").format(name=container) + _SCHEMA.format(name=container)
