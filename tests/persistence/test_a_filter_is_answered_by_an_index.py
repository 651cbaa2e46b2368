"""A list that few documents meet reads these few, and not every body of the environment."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from shared.persistence.store import (
    AnyOf,
    Comparison,
    Condition,
    Create,
    Document,
    Partition,
    Prefix,
    Query,
    Replace,
    Where,
)
from tests.kit.stores import HandClock

HERE = Prefix("acme", "env")
OF_TYPE = Where("type", Comparison.EQ, "thing")
OLDER = Where("schema", Comparison.IS_NOT, 2)
BODY = {"type": "thing", "schema": 2, "owner": "team-1", "status": "Running"}
THINGS = [
    ("svc-3", BODY | {"owner": "team-2"}),
    ("svc-1", BODY | {"owner": "team-2"}),
    ("svc-2", BODY),
    ("svc-4", BODY | {"type": "other", "owner": "team-2"}),
    ("svc-5", BODY | {"owner": ["team-2"]}),
]


def partition(unit: str) -> Partition:
    return Partition("acme", "env", unit)


async def filled(database: Database) -> SqliteStore:
    store = SqliteStore(database, "things", HandClock())
    for unit, body in THINGS:
        await store.batch(partition(unit), [Create("thing", body)])
    return store


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database(MEMORY if request.param == "sqlite-memory" else tmp_path / "c.db")
    yield database
    database.close()


def owned_by(owner: str) -> Condition:
    """Return what a list asks of one owner where documents may be of an earlier schema."""
    return AnyOf([Where("owner", Comparison.EQ, owner), OLDER])


def asking(*where: Condition) -> Query:
    return Query(where=[Where("id", Comparison.EQ, "thing"), OF_TYPE, *where])


async def units(store: SqliteStore, query: Query) -> list[str]:
    return [found.partition.unit for found in (await store.query(HERE, query)).documents]


def plans(database: Database, statements: Sequence[str]) -> list[str]:
    def of(statement: str) -> str:
        steps = database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
        return " ".join(str(step[-1]) for step in steps)

    return [of(each) for each in statements if each.startswith("SELECT partition")]


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(Where("owner", Comparison.EQ, "team-2"), id="of-one-schema"),
        pytest.param(owned_by("team-2"), id="or-of-an-earlier-schema"),
    ],
)
async def test_a_value_is_searched_in_an_index_without_a_sort(
    database: Database, where: Condition
) -> None:
    store, asked = await filled(database), list[str]()
    database.read(lambda connection: connection.set_trace_callback(asked.append))
    found = await units(store, asking(where))
    database.read(lambda connection: connection.set_trace_callback(None))

    assert found == ["svc-1", "svc-3"]
    (plan,) = plans(database, asked)
    assert "things by thing owner" in plan
    assert "TEMP B-TREE" not in plan


async def test_documents_of_an_earlier_schema_are_among_what_is_found(database: Database) -> None:
    store = await filled(database)
    assert await units(store, asking(owned_by("team-9"))) == []

    for unit, body in (("svc-0", {"type": "thing"}), ("svc-6", BODY | {"schema": 1})):
        await store.batch(partition(unit), [Create("thing", body)])

    assert await units(store, asking(owned_by("team-9"))) == ["svc-0", "svc-6"]
    assert await units(store, asking(owned_by("team-1"))) == ["svc-0", "svc-2", "svc-6"]


async def test_those_of_other_tenants_and_environments_are_none_of_it(database: Database) -> None:
    store = await filled(database)
    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    for elsewhere in (Partition("acme", "other", "svc-1"), Partition("umbrella", "env", "svc-1")):
        body = {"type": "thing", "owner": "team-2"}
        await store.batch(elsewhere, [Create("thing", body), Create("more", body)])

    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]


async def test_what_was_written_since_is_found_by_its_new_value(database: Database) -> None:
    store = await filled(database)
    assert await units(store, asking(owned_by("team-1"))) == ["svc-2"]
    read = await store.read(partition("svc-2"), "thing")
    assert isinstance(read, Document)

    moved = Replace("thing", BODY | {"owner": "team-2"}, read.etag)
    await store.batch(partition("svc-2"), [moved])

    assert await units(store, asking(owned_by("team-1"))) == []
    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-2", "svc-3"]


async def test_a_body_that_is_not_json_hinders_no_index(database: Database) -> None:
    store = await filled(database)
    await store.database.write(
        lambda c: c.execute("UPDATE things SET body = '{' WHERE partition LIKE '%svc-1'")
    )

    assert await units(store, asking(owned_by("team-2"))) == ["svc-3"]

    await store.database.write(
        lambda c: c.execute("UPDATE things SET body = '{' WHERE partition LIKE '%svc-3'")
    )

    assert await units(store, asking(owned_by("team-2"))) == []


@pytest.mark.parametrize(
    ("body", "other"),
    [
        pytest.param({"owner": "team-3"}, Where("owner", Comparison.IS_NOT, None), id="than-null"),
        pytest.param({"schema": True}, Where("schema", Comparison.IS_NOT, 1), id="than-1"),
        pytest.param({"schema": False}, Where("schema", Comparison.IS_NOT, 0), id="than-0"),
        pytest.param({"at": ["x"]}, Where("at", Comparison.IS_NOT, '["x"]'), id="than-a-text"),
        pytest.param({"schema": 2.5}, Where("schema", Comparison.IS_NOT, 2), id="than-2"),
    ],
)
async def test_what_has_another_value_is_found_by_json_type(
    database: Database, body: Mapping[str, object], other: Where
) -> None:
    store = SqliteStore(database, "things", HandClock())
    await units(store, asking(Where(other.path, Comparison.EQ, "team-9")))  # makes the index
    await store.batch(partition("svc-1"), [Create("thing", {"type": "thing", **body})])

    asked = AnyOf([Where("owner", Comparison.EQ, "team-9"), other])

    assert await units(store, asking(asked)) == ["svc-1"]


async def test_types_that_differ_in_case_have_an_index_each(database: Database) -> None:
    store = SqliteStore(database, "things", HandClock())
    of_schema_2 = {"owner": "team-1", "schema": 2}
    for kind in ("thing", "Thing"):
        await store.batch(partition(kind), [Create("thing", of_schema_2 | {"type": kind})])

    for kind in ("thing", "Thing"):
        of_kind = Where("type", Comparison.EQ, kind)
        assert await units(store, Query(where=[of_kind, owned_by("team-1")])) == [kind]


def indexes(database: Database) -> list[str]:
    named = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE '% by thing %'"
    return sorted(name for (name,) in database.read(lambda c: c.execute(named).fetchall()))


async def test_there_is_none_that_nobody_asked_for(database: Database) -> None:
    store = await filled(database)
    in_one = await store.query(partition("svc-1"), asking(owned_by("team-2")))
    await units(store, asking(Where("status", Comparison.NE, "Retired")))
    await units(store, Query(where=[owned_by("team-2")]))

    assert len(in_one.documents) == 1
    assert indexes(database) == []

    await units(store, asking(owned_by("team-2")))
    await units(SqliteStore(database, "things", HandClock()), asking(owned_by("team-2")))

    assert indexes(database) == ["things by thing owner", "things by thing schema"]


async def test_a_disk_without_room_for_an_index_is_searched_without(tmp_path: Path) -> None:
    database = Database(tmp_path / "c.db")
    store = await filled(database)
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())

    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    assert indexes(database) == []

    await database.write(lambda c: c.execute("PRAGMA max_page_count = 10000").fetchone())

    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    assert len(indexes(database)) == 2
    database.close()


async def test_an_index_that_was_dropped_is_made_again(database: Database) -> None:
    store = await filled(database)
    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    await database.write(lambda c: c.execute('DROP INDEX "things by thing schema"'))

    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    assert await units(store, asking(owned_by("team-2"))) == ["svc-1", "svc-3"]
    assert indexes(database) == ["things by thing owner", "things by thing schema"]


async def test_the_event_loop_goes_on_while_an_index_is_made(tmp_path: Path) -> None:
    database = Database(tmp_path / "c.db")
    store, loop = await filled(database), asyncio.get_running_loop()
    began, may_end, waited = asyncio.Event(), threading.Event(), list[bool]()

    def while_it_works() -> int:
        loop.call_soon_threadsafe(began.set)
        if all(waited):
            waited.append(may_end.wait(5))
        return 0

    listed = asyncio.create_task(units(store, asking(owned_by("team-2"))))
    await database.write(lambda c: c.set_progress_handler(while_it_works, 20))
    await began.wait()
    written = asyncio.create_task(store.batch(partition("svc-0"), [Create("thing", BODY)]))

    assert await store.read(partition("svc-2"), "thing") is not None
    may_end.set()

    assert await listed == ["svc-1", "svc-3"]
    await written
    assert await units(store, asking(owned_by("team-1"))) == ["svc-0", "svc-2"]
    assert all(waited)
    database.close()


async def test_a_later_page_begins_where_the_one_before_ended(database: Database) -> None:
    store = SqliteStore(database, "things", HandClock())
    for number in range(300):
        await store.batch(partition(f"svc-{number:03d}"), [Create("thing", BODY)])
    query, costs, found = replace(asking(), limit=20), list[int](), list[str]()
    while True:
        steps = list[int]()
        database.read(lambda db, steps=steps: db.set_progress_handler(partial(steps.append, 1), 20))
        page = await store.query(HERE, query)
        costs.append(len(steps))
        found += [document.partition.unit for document in page.documents]
        if page.continuation is None:
            break
        query = replace(query, continuation=page.continuation)

    assert found == [f"svc-{number:03d}" for number in range(300)]
    assert max(costs[1:]) <= costs[0] * 1.5
