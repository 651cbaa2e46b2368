"""Timers ask across all tenants: the cost follows what is due, not what is there."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from shared.persistence.store import Comparison, Create, Partition, Prefix, Query, Where
from tests.kit.stores import HandClock

DUE = Query(
    where=[
        Where("type", Comparison.EQ, "outbox"),
        Where("dueAt", Comparison.LE, "2026-01-01T00:00:00.000000Z"),
    ],
    order_by="dueAt",
)


async def test_a_query_for_what_is_due_searches_the_index_of_due_rows() -> None:
    database = Database(MEMORY)
    store = SqliteStore(database, "things", HandClock())
    partition = Partition("acme", "env", "-")
    await store.batch(partition, [Create(f"row-{n}", {"type": "row"}) for n in range(50)])
    due = {"type": "outbox", "dueAt": "2025-12-31T00:00:00.000000Z"}
    await store.batch(partition, [Create("outbox-1", due)])
    asked: list[str] = []
    database.read(lambda connection: connection.set_trace_callback(asked.append))
    found = await store.query_due(DUE)
    database.read(lambda connection: connection.set_trace_callback(None))
    select = next(text for text in asked if "due_at" in text)
    plan = database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {select}").fetchall())

    assert [document.id for document in found.documents] == ["outbox-1"]
    assert any("by due_at" in str(row) for row in plan), plan
    assert not any("TEMP B-TREE FOR ORDER BY" in str(row) for row in plan), plan


# Of the first version, and of the one before `type` was a column.
FIRST_SCHEMA = """
CREATE TABLE "things" (
  lsn INTEGER PRIMARY KEY, partition TEXT NOT NULL, id TEXT NOT NULL, feed INTEGER NOT NULL,
  changed_at_s INTEGER NOT NULL, expires_at_s INTEGER, ttl_s INTEGER, body TEXT NOT NULL);
CREATE UNIQUE INDEX "things by key" ON "things" (partition, id);
CREATE INDEX "things by due" ON "things" (json_extract(body, '$.body.dueAt'))
  WHERE instr(body, '"dueAt"') > 0 AND json_type(body, '$.body.dueAt') = 'text';
CREATE TABLE "things lsn" (last INTEGER NOT NULL);
INSERT INTO "things lsn" VALUES (0);
"""
SCHEMA_WITH_DUE_AT = """
CREATE TABLE "things" (
  lsn INTEGER PRIMARY KEY, partition TEXT NOT NULL, id TEXT NOT NULL, feed INTEGER NOT NULL,
  changed_at_s INTEGER NOT NULL, expires_at_s INTEGER, ttl_s INTEGER, body TEXT NOT NULL,
  due_at TEXT);
CREATE UNIQUE INDEX "things by key" ON "things" (partition, id);
CREATE INDEX "things by due_at" ON "things" (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE "things lsn" (last INTEGER NOT NULL);
INSERT INTO "things lsn" VALUES (0);
"""
DUE_AT = "2025-12-31T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("schema", "due_at"),
    [
        pytest.param(FIRST_SCHEMA, {}, id="of-the-first-version"),
        pytest.param(SCHEMA_WITH_DUE_AT, {"due_at": DUE_AT}, id="with-due-at"),
    ],
)
async def test_what_is_in_a_file_of_an_older_version_is_listed_and_found_when_it_is_due(
    tmp_path: Path, schema: str, due_at: Mapping[str, str]
) -> None:
    row: dict[str, Any] = {
        "lsn": 1,
        "partition": "acme\x1fenv\x1f-",
        "id": "row-1",
        "feed": 0,
        "changed_at_s": 1,
    }
    rows = [
        row | {"body": '{"body":{"type":"row","note":"\\"dueAt\\""}}'},
        row | {"lsn": 2, "id": "outbox-1"} | due_at
        | {"body": f'{{"body":{{"type":"outbox","dueAt":"{DUE_AT}"}}}}'},
    ]  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "d.db")) as older:
        older.executescript(schema)
    write_as_before(tmp_path / "d.db", rows)

    for _ in range(2):  # opening it again changes nothing
        assert await listed_and_due(tmp_path / "d.db") == (["row-1"], ["outbox-1"])

    # An earlier version is run again over the file, and then this one.
    later = [each | {"lsn": each["lsn"] + 2, "id": f"{each['id']}-later"} for each in rows]
    write_as_before(tmp_path / "d.db", later)

    assert await listed_and_due(tmp_path / "d.db") == (
        ["row-1", "row-1-later"],
        ["outbox-1", "outbox-1-later"],
    )


def write_as_before(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add *rows* as a version does that knows no other columns."""
    with closing(sqlite3.connect(file)) as older, older:
        for each in rows:
            marks = ", ".join(f":{name}" for name in each)
            older.execute(f'INSERT INTO "things" ({", ".join(each)}) VALUES ({marks})', each)


async def listed_and_due(file: Path) -> tuple[list[str], list[str]]:
    database = Database(file)
    store = SqliteStore(database, "things", HandClock())
    rows = Query(where=[Where("type", Comparison.EQ, "row")])
    listed = await store.query(Prefix("acme", "env"), rows)
    due = await store.query_due(DUE)
    database.close()
    return [each.id for each in listed.documents], [each.id for each in due.documents]
