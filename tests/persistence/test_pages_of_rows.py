"""Rows by pages, newest first: each once, and no page after the last."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.table import SqliteTable
from shared.kernel.clock import isoformat
from shared.kernel.errors import Invalid
from shared.persistence.query_rules import PAGE_MAX
from shared.persistence.row_pages import newest_page
from shared.persistence.tables import Table, TableRow
from tests.kit.virtual_time import EPOCH

KEYS: Final = [isoformat(EPOCH + timedelta(seconds=number)) for number in range(6)]


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    database = Database(MEMORY)
    samples = SqliteTable(database, "samples")
    await samples.insert([TableRow("p", key, {}) for key in KEYS])
    yield samples
    database.close()


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        pytest.param(4, [4, 2], id="the-last-page-is-short"),
        pytest.param(3, [3, 3], id="the-last-page-is-full"),
        pytest.param(6, [6], id="one-full-page"),
    ],
)
async def test_pages_have_each_row_once_and_none_is_empty(
    table: Table, limit: int, sizes: list[int]
) -> None:
    pages, continuation = [], None
    while not pages or continuation is not None:
        page = await newest_page(table, "p", limit=limit, continuation=continuation)
        pages.append([row.row_key for row in page.rows])
        continuation = page.continuation

    assert [len(page) for page in pages] == sizes
    assert [key for page in pages for key in page] == KEYS[::-1]


async def test_rows_up_to_a_key_are_in_no_page(table: Table) -> None:
    page = await newest_page(table, "p", limit=2, continuation=None, after=KEYS[3])

    assert ([row.row_key for row in page.rows], page.continuation) == (KEYS[:3:-1], None)


@pytest.mark.parametrize("count", [PAGE_MAX, PAGE_MAX + 1])
async def test_a_page_may_have_as_many_rows_as_one_read(table: Table, count: int) -> None:
    keys = [isoformat(EPOCH + timedelta(seconds=number)) for number in range(count)]
    for first in range(0, count, 100):
        await table.insert([TableRow("many", key, {}) for key in keys[first : first + 100]])

    page = await newest_page(table, "many", limit=PAGE_MAX, continuation=None)

    assert len(page.rows) == PAGE_MAX
    assert page.continuation == (None if count == PAGE_MAX else keys[1])


@pytest.mark.parametrize("continuation", ["", "~", "2026", f"{KEYS[0]}~svc-web", "x" * 3000])
async def test_what_is_no_key_is_no_continuation(table: Table, continuation: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await newest_page(table, "p", limit=2, continuation=continuation)

    assert refusal.value.code == "InvalidContinuation"
