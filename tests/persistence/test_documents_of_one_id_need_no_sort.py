"""A list of documents that all have one id ends with its page: it reads no more, and sorts none."""

from dataclasses import dataclass, replace

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Comparison, Create, Partition, Prefix, Query, Where
from tests.kit.stores import HandClock

UNITS = [f"svc-{number}" for number in range(5)]


@dataclass(frozen=True)
class Thing:
    name: str


THINGS = DocumentCodec(Thing, "thing", key="name", document="thing")
NAMED = DocumentCodec(Thing, "named", key="name")


@pytest.mark.parametrize(
    ("codec", "is_asked"),
    [
        pytest.param(THINGS, True, id="one-id-for-all"),
        pytest.param(NAMED, False, id="an-id-for-each"),
    ],
)
def test_a_query_asks_for_the_id_where_all_have_the_same(
    codec: DocumentCodec[Thing],
    is_asked: bool,  # noqa: FBT001  a column
) -> None:
    of_type = Where("type", Comparison.EQ, codec.type_name)

    assert [*codec.conditions] == [*([Where("id", Comparison.EQ, "thing")] * is_asked), of_type]


async def test_pages_come_in_the_order_of_partitions_without_a_sort() -> None:
    database = Database(MEMORY)
    store = SqliteStore(database, "things", HandClock())
    for unit in reversed(UNITS):
        put = THINGS.put(Thing(unit))
        rows = [Create(put.id, put.body), Create("history/1", {"type": "history"})]
        await store.batch(Partition("acme", "env", unit), rows)
    asked: list[str] = []
    database.read(lambda connection: connection.set_trace_callback(asked.append))
    query, units = Query(where=THINGS.conditions, limit=2), []
    while True:
        page = await store.query(Prefix("acme", "env"), query)
        units += [document.partition.unit for document in page.documents]
        if page.continuation is None:
            break
        query = replace(query, continuation=page.continuation)
    database.read(lambda connection: connection.set_trace_callback(None))

    assert units == UNITS
    selects = [text for text in asked if "ORDER BY" in text]
    assert selects, asked
    for select in selects:
        plan = database.read(
            lambda c, sql=select: c.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
        )
        assert any("by key" in str(row) for row in plan), plan
        assert not any("TEMP B-TREE" in str(row) for row in plan), plan
