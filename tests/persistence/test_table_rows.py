"""Contract of the Table port: same cases, same results, every adapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.table import SqliteTable
from shared.kernel.errors import Invalid, TooLarge
from shared.persistence.tables import RowExists, Table, TableRow


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    database = Database(MEMORY if request.param == "sqlite-memory" else tmp_path / "t.db")
    yield SqliteTable(database, "audit")
    database.close()


def rows(*keys: str, partition: str = "p") -> list[TableRow]:
    return [TableRow(partition, key, {"key": key}) for key in keys]


async def keys(table: Table, **bounds: object) -> list[str]:
    return [row.row_key for row in await table.scan("p", **bounds)]  # type: ignore[arg-type]


async def test_a_row_is_read_back_with_its_types(table: Table) -> None:
    row = TableRow("p", "1", {"text": "é", "count": 3, "ratio": 0.5, "held": True})

    await table.insert([row])

    assert await table.get("p", "1") == row
    assert await table.get("p", "2") is None
    assert await table.get("q", "1") is None


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


async def test_a_scan_is_ordered_and_leaves_its_bounds_out(table: Table) -> None:
    await table.insert(rows("d", "a", "c", "b", "e"))
    await table.insert(rows("b", partition="other"))

    assert await keys(table) == ["a", "b", "c", "d", "e"]
    assert await keys(table, after="a", before="d") == ["b", "c"]
    assert await keys(table, newest_first=True, limit=2) == ["e", "d"]
    assert await keys(table, newest_first=True, limit=2, before="d") == ["c", "b"]


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
