"""A stored document that cannot be read is left out of its page, and named there and in the log."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from shared.persistence.cosmos_form import PARTITION_FIELDS
from shared.persistence.store import (
    Comparison,
    Create,
    Partition,
    Prefix,
    Query,
    UnreadableDocument,
    Upsert,
    Where,
    pages,
)
from tests.kit.cosmos import wired
from tests.kit.stores import HandClock

HERE = Partition("tenant-a", "k1", "-")
OTHER = Partition("tenant-b", "k1", "-")
TYPED = Where("type", Comparison.EQ, "row")
DUE = Where("dueAt", Comparison.LE, "2026-06-01")
DAMAGES = [
    pytest.param('{"body":{"type":"row","dueAt":"2026', id="cut-off"),
    pytest.param('{"type":"row","dueAt":"2026-01-01"}', id="written-by-others"),
    pytest.param('{"body":"row"}', id="no-object"),
    pytest.param("", id="empty"),
]


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    database = Database(MEMORY if request.param == "sqlite-memory" else tmp_path / "c.db")
    yield SqliteStore(database, "things", HandClock())
    database.close()


async def damage(store: SqliteStore, document_id: str, text: str) -> None:
    """Overwrite what is stored in *HERE* as *document_id*, as a failing disk would."""

    def work(connection: sqlite3.Connection) -> None:
        key = (text, "\x1f".join(HERE.values), document_id)
        connection.execute('UPDATE "things" SET body = ? WHERE partition = ? AND id = ?', key)

    await store.database.write(work)


async def fill(store: SqliteStore, text: str) -> None:
    """Write four documents and damage `b`, which is the first that is due."""
    for n, document_id in enumerate("bacd"):
        body = {"type": "row", "n": n, "dueAt": f"2026-01-0{n + 1}"}
        place = OTHER if document_id == "d" else HERE
        await store.batch(place, [Create(document_id, body)])
    await damage(store, "b", text)


@pytest.mark.parametrize("text", DAMAGES)
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(Query(), id="all"),
        pytest.param(Query(where=[TYPED]), id="by-a-field"),
        pytest.param(Query(where=[TYPED], order_by="n"), id="in-the-order-of-a-field"),
        pytest.param(Query(where=[TYPED, DUE], order_by="dueAt"), id="by-what-is-due"),
        pytest.param(Query(where=[Where("id", Comparison.NE, "x")]), id="by-id"),
    ],
)
async def test_a_query_answers_with_the_others(store: SqliteStore, query: Query, text: str) -> None:
    await fill(store, text)

    page = await store.query(Prefix("tenant-a"), query)

    assert sorted(document.id for document in page.documents) == ["a", "c"]


@pytest.mark.parametrize("text", DAMAGES)
async def test_what_others_have_due_is_found(store: SqliteStore, text: str) -> None:
    await fill(store, text)

    page = await store.query_due(Query(where=[TYPED, DUE], order_by="dueAt"))

    assert [document.id for document in page.documents] == ["a", "c", "d"]


@pytest.mark.parametrize("text", DAMAGES)
async def test_the_change_feed_goes_on_behind_it(store: SqliteStore, text: str) -> None:
    await fill(store, text)
    found, unreadable = [], []
    for feed_range in await store.feed_ranges():
        page = await store.changes(feed_range, None)
        found += [document.id for document in page.documents]
        unreadable += [document.id for document in page.unreadable]

    assert sorted(found) == ["a", "c", "d"]
    assert unreadable == ["b"]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(Query(), id="without-a-look-into-bodies"),
        pytest.param(Query(where=[TYPED, DUE], order_by="dueAt"), id="with-a-look-into-bodies"),
    ],
)
async def test_the_page_and_the_log_name_it(
    store: SqliteStore, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(store, '{"body":{"type":"row","dueAt":"2026')

    with caplog.at_level(logging.ERROR):
        page = await store.query(HERE, query)

    (left_out,) = page.unreadable
    assert (left_out.partition, left_out.id) == (HERE, "b")
    assert "damaged" in left_out.reason
    assert "'b' in tenant-a/k1/-" in caplog.text


async def test_pages_together_are_all_the_others(store: SqliteStore) -> None:
    await store.batch(HERE, [Create(f"d{n}", {"type": "row", "n": n}) for n in range(9)])
    for n in (0, 4, 8):
        await damage(store, f"d{n}", "{")

    query = Query(where=[TYPED], order_by="n", limit=2)
    found = [document.body["n"] async for document in pages(store, HERE, query)]

    assert found == [1, 2, 3, 5, 6, 7]


async def test_whoever_asks_for_it_gets_an_error_that_is_no_refusal(store: SqliteStore) -> None:
    await fill(store, "{")

    with pytest.raises(UnreadableDocument):
        await store.read(HERE, "b")
    with pytest.raises(UnreadableDocument):
        await store.read_many(HERE, ["a", "b"])
    assert await store.read(HERE, "a") is not None


async def test_writing_it_again_repairs_it(store: SqliteStore) -> None:
    await fill(store, "{")

    await store.batch(HERE, [Upsert("b", {"type": "row"})])

    page = await store.query(HERE, Query(where=[TYPED]))
    assert [document.id for document in page.documents] == ["a", "b", "c"]
    assert not page.unreadable


FOREIGN = [
    pytest.param({}, id="without-a-body"),
    pytest.param({"body": "row"}, id="with-a-text-as-body"),
    pytest.param({"body": None}, id="with-null-as-body"),
]


@pytest.mark.real
@pytest.mark.parametrize("fields", FOREIGN)
async def test_what_others_put_into_the_container_is_left_out(fields: dict[str, object]) -> None:
    async with wired(HandClock()) as wire:
        store = wire.store()
        await store.batch(HERE, [Create("a", {"type": "row"}), Create("c", {"type": "row"})])
        key = dict(zip(PARTITION_FIELDS, HERE.values, strict=True))
        container = await wire.account.container("runtime", "deployments")
        await container.create_item({"id": "b", **key, **fields})

        page = await store.query(HERE, Query())
        changed = [await store.changes(name, None) for name in await store.feed_ranges()]

        assert [document.id for document in page.documents] == ["a", "c"]
        assert [left_out.id for left_out in page.unreadable] == ["b"]
        assert [document.id for each in changed for document in each.documents] == ["a", "c"]
        with pytest.raises(UnreadableDocument):
            await store.read(HERE, "b")
