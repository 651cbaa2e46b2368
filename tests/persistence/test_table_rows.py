"""Contract of the Table port: same cases, same results, every adapter."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.table import SqliteTable
from shared.kernel.errors import Invalid, TooLarge
from shared.persistence.storage_account import StorageAccount
from shared.persistence.tables import RowExists, Table, TableRow, Value
from tests.kit.storage_accounts import connected
from tests.kit.storage_wire import wired_storage


@pytest.fixture(
    params=[
        "sqlite-file",
        "sqlite-memory",
        pytest.param("azurite", marks=pytest.mark.real),
        pytest.param("local-cloud", marks=pytest.mark.real),
    ]
)
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Table]:
    if request.param == "azurite":
        served = request.getfixturevalue("azurite")
        account = StorageAccount(connection_string=served.connection_string())
        async with connected(account) as storage:
            yield storage.table
        return
    if request.param == "local-cloud":
        async with (
            wired_storage(tmp_path) as served,
            connected(StorageAccount(connection_string=served.connection_string())) as storage,
        ):
            yield storage.table
        return
    database = Database(MEMORY if request.param == "sqlite-memory" else tmp_path / "t.db")
    yield SqliteTable(database, "audit")
    database.close()


TEXT = "x" * 32_768
NAMES = [f"n{number}" for number in range(253)]


def texts(count: int) -> dict[str, Value]:
    return {f"text{number}": TEXT for number in range(count)}


def rows(*keys: str, partition: str = "p") -> list[TableRow]:
    return [TableRow(partition, key, {"key": key}) for key in keys]


async def keys(table: Table, **bounds: object) -> list[str]:
    return [row.row_key for row in await table.scan("p", **bounds)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        True, False, 0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, 3.0, -0.1, 1e300, 5e-324,
        "", "\u00e9 \U0001d11e", "1", "true", "2026-11-28T17:00:00Z", "a\n\t\"'\\/#?", "x" * 32_768,
    ],
    ids=lambda value: f"{type(value).__name__}-{value!r:.24}",
)  # fmt: skip
async def test_a_value_is_read_back_with_its_type(table: Table, value: Value) -> None:
    row = TableRow("p", "1", {"value": value, "other": "o"})

    await table.insert([row])
    read = await table.get("p", "1")

    assert read == row
    assert type(read.values["value"]) is type(value)
    assert list(await table.scan("p")) == [row]
    assert await table.get("p", "2") is None
    assert await table.get("q", "1") is None


@pytest.mark.parametrize(
    "key",
    ["", " ", "a b ", "'", "''", "%", "%20", "+", "&", "=", ";", "$", "(1)", "a,b", ":", "@k",
     "e|0", "e}", '"', "<>", "\u00e9", "\u540d", "\U0001d11e", "k" * 512],
)  # fmt: skip
async def test_a_key_may_have_any_other_character(table: Table, key: str) -> None:
    row = TableRow(key, key, {"n": 1})
    await table.insert([row])
    with pytest.raises(RowExists) as caught:
        await table.insert([row])
    await table.upsert([TableRow(key, key, {"n": 2})])

    assert caught.value.row_key == key
    assert await table.get(key, key) == TableRow(key, key, {"n": 2})
    assert [row.row_key for row in await table.scan(key)] == [key][: len(key)]
    assert not await table.scan(key, after=key)
    assert await table.delete_before(key, key) == 0
    assert await table.delete_before(key, key + "0") == 1


@pytest.mark.parametrize(
    "key",
    ["/", "a\\b", "#", "a?", "\0", "a\n", "\x1f", "\x7f", "\x80", "\x9f", "k" * 513,
     "\U0001d11e" * 257],
)  # fmt: skip
async def test_a_key_that_table_storage_refuses_is_no_key(table: Table, key: str) -> None:
    for row in (TableRow(key, "a", {}), TableRow("p", key, {})):
        with pytest.raises(Invalid):
            await table.insert([row])
        with pytest.raises(Invalid):
            await table.upsert([row])

    assert await table.get(key, "a") is None
    assert await table.get("p", key) is None
    assert not await table.scan(key)
    assert not await table.scan(key, newest_first=True)
    assert await table.delete_before(key, "b") == 0


async def test_inserting_a_taken_key_adds_none_of_the_rows(table: Table) -> None:
    await table.insert(rows("b"))

    with pytest.raises(RowExists) as caught:
        await table.insert(rows("a", "b", "c"))

    assert caught.value.row_key == "b"
    assert await keys(table) == ["b"]


async def test_an_upsert_replaces_the_whole_row(table: Table) -> None:
    await table.insert([TableRow("p", "1", {"a": 1, "b": 2})])

    await table.upsert([TableRow("p", "1", {"a": 3})])

    assert await table.get("p", "1") == TableRow("p", "1", {"a": 3})


async def test_keys_sort_by_their_characters_numbers(table: Table) -> None:
    sorted_keys = [" ", "!", "-", "0", "00", "1", ":", "A", "B", "Z", "_", "a", "aa", "b", "|", "}"]
    await table.insert(rows(*reversed([*sorted_keys, "\u00c4", "\u00e4", "\u540d"])))

    assert await keys(table) == [*sorted_keys, "\u00c4", "\u00e4", "\u540d"]
    assert await keys(table, after="1", before="A") == [":"]


async def test_the_newest_of_many_rows_come_first(table: Table) -> None:
    instants = [f"2026-11-{day:02}T{hour:02}:30:00Z" for day in range(1, 31) for hour in range(24)]
    await table.insert(rows("i|2026", "\u540d"))
    for first in range(0, len(instants), 100):
        await table.insert(rows(*instants[first : first + 100]))
    newest = instants[::-1]

    assert await keys(table, newest_first=True, limit=1) == ["\u540d"]
    assert await keys(table, newest_first=True, limit=1, before="3") == newest[:1]
    assert await keys(table, newest_first=True, limit=50, before=newest[99]) == newest[100:150]
    after = instants[9]
    assert await keys(table, newest_first=True, after=after, before=instants[12]) == newest[-12:-10]
    assert await keys(table, newest_first=True, after=after, before=after) == []
    await table.insert(rows("2026-11-31"))
    assert await keys(table, newest_first=True, limit=2, before="3") == ["2026-11-31", newest[0]]
    found = await keys(table, newest_first=True, limit=1_000, before="3")
    assert found == ["2026-11-31", *newest]


async def test_a_scan_is_ordered_and_leaves_its_bounds_out(table: Table) -> None:
    await table.insert(rows("d", "a", "c", "b", "e"))
    await table.insert(rows("b", partition="other"))

    assert await keys(table) == ["a", "b", "c", "d", "e"]
    assert await keys(table, after="a", before="d") == ["b", "c"]
    assert await keys(table, newest_first=True, limit=2) == ["e", "d"]
    assert await keys(table, newest_first=True, limit=2, before="d") == ["c", "b"]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the SDK does
async def test_as_much_as_table_storage_takes_is_taken(table: Table) -> None:
    full = [TableRow("p", f"{n}", texts(15)) for n in range(4)]

    await table.insert(full)
    await table.upsert([TableRow("q", "1", dict.fromkeys(NAMES[1:], 1))])

    assert list(await table.scan("p")) == full
    assert len((await table.scan("q"))[0].values) == 252


async def test_nothing_to_write_is_no_error(table: Table) -> None:
    await table.insert([])
    await table.upsert([])

    assert await keys(table) == []


async def test_two_that_delete_the_same_rows_delete_each_once(table: Table) -> None:
    numbers = [f"{n:03}" for n in range(200)]
    for first in range(0, 200, 100):
        await table.insert(rows(*numbers[first : first + 100]))

    deleted = await asyncio.gather(*(table.delete_before("p", "150") for _ in range(3)))

    assert sum(deleted) == 150
    assert await keys(table) == numbers[150:]


async def test_old_rows_are_deleted_up_to_a_key(table: Table) -> None:
    await table.insert(rows("a", "b", "c"))
    await table.insert(rows("a", partition="other"))

    deleted = await table.delete_before("p", "c")

    assert deleted == 2
    assert await keys(table) == ["c"]
    assert await table.get("other", "a") is not None


async def test_one_deletion_removes_a_bounded_number_of_the_oldest(table: Table) -> None:
    numbers = [f"{n:04}" for n in range(1_100)]
    for first in range(0, 1_100, 100):
        await table.insert(rows(*numbers[first : first + 100]))

    deleted = [await table.delete_before("p", "9") for _ in range(3)]

    assert deleted == [1_000, 100, 0]


@pytest.mark.parametrize("limit", [-1, 0, 1_001])
async def test_a_scan_without_a_bound_is_refused(table: Table, limit: int) -> None:
    with pytest.raises(Invalid):
        await keys(table, limit=limit)


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        pytest.param(rows(*(f"{n:03}" for n in range(101))), TooLarge, id="a-101st-row"),
        pytest.param([*rows("a"), *rows("b", partition="q")], Invalid, id="two-partitions"),
        pytest.param(rows("a", "a"), Invalid, id="one-key-twice"),
        pytest.param([TableRow("p", "a", {"x": ["y"]})], Invalid, id="a-list-as-value"),  # type: ignore[dict-item]
        pytest.param([TableRow("p", "a", {"x": 2**63})], Invalid, id="over-64-bits"),
        pytest.param([TableRow("p", "a", {"x": math.nan})], Invalid, id="not-a-number"),
        pytest.param([TableRow("p", "a", {"x": math.inf})], Invalid, id="infinite"),
        pytest.param(rows("\ud800"), Invalid, id="half-a-character-as-key"),
        pytest.param([TableRow("p", "a", {"x": "\ud800"})], Invalid, id="half-a-character"),
        pytest.param([TableRow("p", "a", {"x": TEXT + "y"})], Invalid, id="a-long-text"),
        pytest.param([TableRow("p", "a", {"x": "\U0001d11e" * 16_385})], Invalid, id="long-pairs"),
        pytest.param([TableRow("p", "a", texts(16))], Invalid, id="a-row-over-1-MiB"),
        pytest.param([TableRow("p", str(n), texts(15)) for n in range(5)], TooLarge, id="4-MiB"),
        pytest.param([TableRow("p", "a", dict.fromkeys(NAMES, 1))], Invalid, id="253-values"),
        *(
            pytest.param([TableRow("p", "a", {name: 1})], Invalid, id=f"named-{name:.20}")
            for name in ("", "a-b", "1a", "a b", "RowKey", "PartitionKey", "Timestamp", "n" * 256)
        ),
    ],
)
async def test_rows_that_are_no_transaction_are_refused(
    table: Table, refused: list[TableRow], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await table.insert(refused)
    with pytest.raises(error):
        await table.upsert(refused)

    assert await keys(table) == []
