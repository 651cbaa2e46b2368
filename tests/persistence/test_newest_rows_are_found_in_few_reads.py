"""The newest rows of a table that is read in ascending order only, counted in pages."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable
from shared.persistence.newest_rows import READS_MAX, Rows, Span, key_between, newest_rows
from shared.persistence.tables import TableRow
from tests.kit.virtual_time import EPOCH

SOME_TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
FEW_CHARACTERS = st.text("019-:Tzä\ue000\U0001d11e", max_size=5)


def order(key: str) -> bytes:
    return key.encode("utf-16-be")


class Ascending:
    """Rows in order, read by pages, which are counted."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = sorted(keys, key=order)
        self.reads = 0

    async def read(self, span: Span, count: int) -> Rows:
        self.reads += 1
        first = bisect_right(self.keys, order(span.after), key=order)
        if span.start is not None:
            first = max(first, bisect_left(self.keys, order(span.start), key=order))
        end = len(self.keys)
        if span.before is not None:
            end = bisect_left(self.keys, order(span.before), key=order)
        found = self.keys[first : min(end, first + count)]
        return Rows([TableRow("p", key, {}) for key in found], is_all=end - first <= count)

    async def newest(
        self, limit: int, *, after: str = "", before: str | None = None, guess: str | None = None
    ) -> list[str]:
        rows = await newest_rows(self.read, after, before, limit, guess=guess)
        return [row.row_key for row in rows]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(SOME_TEXT | FEW_CHARACTERS, unique=True, max_size=400),
    st.integers(1, 120),
    SOME_TEXT | FEW_CHARACTERS,
    st.none() | SOME_TEXT | FEW_CHARACTERS,
    st.none() | SOME_TEXT | FEW_CHARACTERS,
)
async def test_whatever_the_keys_are_the_last_ones_are_found(
    keys: list[str], limit: int, after: str, before: str | None, guess: str | None
) -> None:
    table = Ascending(keys)
    expected = [
        key
        for key in reversed(table.keys)
        if order(after) < order(key) and (before is None or order(key) < order(before))
    ][:limit]

    assert await table.newest(limit, after=after, before=before, guess=guess) == expected
    assert table.reads <= 100


@given(SOME_TEXT | FEW_CHARACTERS, st.none() | SOME_TEXT | FEW_CHARACTERS)
def test_a_split_lies_between_its_bounds(low: str, high: str | None) -> None:
    split = key_between(low, high)

    if split is not None:
        assert order(low) < order(split)
        assert high is None or order(split) < order(high)


def instants(count: int, every_s: int) -> list[str]:
    return [isoformat(EPOCH + timedelta(seconds=number * every_s)) for number in range(count)]


@pytest.mark.long
@pytest.mark.parametrize("limit", [1, 101])
async def test_a_month_of_samples_is_searched_once(limit: int) -> None:
    keys = instants(30 * 24 * 360, 10)
    table = Ascending(keys)

    found = await table.newest(limit, after=keys[5])
    searched = table.reads
    again = await table.newest(limit, guess=found[-1])

    assert found == again == keys[: -limit - 1 : -1]
    assert searched <= 50
    assert table.reads == searched + 1


async def test_the_head_of_a_chain_is_found_among_other_rows() -> None:
    table = Ascending([*(f"e|{n:012d}" for n in range(1, 50_000)), *(f"i|{n}" for n in range(99))])

    head = await table.newest(1, after="e|", before="e}")

    assert head == ["e|000000049999"]
    assert table.reads <= 50


async def test_a_short_range_is_one_read() -> None:
    table = Ascending([f"{n:02}" for n in range(100)])

    assert await table.newest(3) == ["99", "98", "97"]
    assert table.reads == 1


async def test_a_search_that_never_ends_is_given_up() -> None:
    """As when rows are added faster than they are read."""

    async def endless(span: Span, count: int) -> Rows:
        return Rows([TableRow("p", (span.start or span.after) + "0", {})] * count, is_all=False)

    with pytest.raises(Unavailable, match=f"in {READS_MAX} reads"):
        await newest_rows(endless, "", None, 1, guess=None)
