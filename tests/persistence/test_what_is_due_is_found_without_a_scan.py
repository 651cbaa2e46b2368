"""Timers ask across all tenants: the cost follows what is due, not what is there."""

from shared.persistence.sqlite import MEMORY, Database
from shared.persistence.sqlite_store import SqliteStore
from shared.persistence.store import Comparison, Create, Partition, Query, Where
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
    select = next(text for text in asked if "dueAt" in text)
    plan = database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {select}").fetchall())

    assert [document.id for document in found.documents] == ["outbox-1"]
    assert any("by due" in str(row) for row in plan), plan
