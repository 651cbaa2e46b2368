"""Finds the last rows of a range in a table that is read in ascending order only.

Table storage has no descending order. So the range is split, at keys that need not exist: whatever
lies above a split is read if it fits a page, else the split moves up; where nothing lies above, it
moves down. Each read is one page, and rows that were never near the end are never read.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from shared.kernel.errors import Unavailable
from shared.persistence.query_rules import PAGE_MAX
from shared.persistence.tables import TableRow

READS_MAX: Final = 1000
"""A month of instants takes 46, once; keys of 512 arbitrary characters may take ten for each."""
_PAGE_MIN: Final = 100
_DIGITS: Final = (ord("0"), ord("9"))
_PRINTABLE: Final = (ord(" "), ord("~"))
_LAST: Final = 0xD7FF
"""The last character below the surrogates; splits have none above it."""


class Span(NamedTuple):
    """Keys above *after*, from *start* on where there is one, and below *before*."""

    after: str
    start: str | None
    before: str | None


class Rows(NamedTuple):
    """The first rows of a span, in order; `is_all` tells whether the span has no more."""

    rows: Sequence[TableRow]
    is_all: bool


Read = Callable[[Span, int], Awaitable[Rows]]
"""Reads the first rows of a span: so many, unless there are fewer."""


async def newest_rows(
    read: Read, after: str, before: str | None, limit: int, *, guess: str | None
) -> Sequence[TableRow]:
    """Return the last *limit* rows between *after* and *before*, the last one first.

    Rows from the key *guess* on are read first: the oldest key of an earlier answer makes one read
    enough. A wrong guess costs reads only.

    Raises:
        Unavailable: they were not found in `READS_MAX` reads.
    """
    take = min(PAGE_MAX, max(2 * limit, _PAGE_MIN))
    low, high = after, before
    below: Sequence[TableRow] = ()  # a page that ends with `low`; more rows follow it
    above: Sequence[TableRow] = ()  # all rows from `high` on
    split = guess if guess is not None and _is_between(after, guess, before) else None
    for _ in range(READS_MAX):
        page = await read(Span(low, split, high), take)
        if not page.is_all:
            below, low = page.rows, page.rows[-1].row_key
            split = key_between(low, high)
            continue
        above = [*page.rows, *above]
        if split is None:
            return [*below, *above][: -limit - 1 : -1]
        if len(above) >= limit:
            return above[: -limit - 1 : -1]
        high = split
        split = None if page.rows else key_between(low, high)
    raise Unavailable(f"the newest rows were not found in {READS_MAX} reads")


def key_between(low: str, high: str | None) -> str | None:
    """Return a key above *low* and below *high* that halves what keys of their form can be.

    None if there is none that is as long as *low* or one character longer.
    """
    is_bound = high is not None
    for place in range(len(low) + 1):
        first = ord(low[place]) + 1 if place < len(low) else 0
        last = _LAST
        if is_bound and high is not None:
            if place == len(high):
                return None
            last = ord(high[place]) - (place + 1 == len(high))
            is_bound = place < len(low) and high[place] == low[place]
        split = _halved(first, min(last, _LAST), is_end=place == len(low))
        if split is not None:
            key = low[:place] + chr(split)
            return key if _is_between(low, key, high) else None
    return None


def _halved(first: int, last: int, *, is_end: bool) -> int | None:
    """Return a character of *first* to *last* to split at: among digits, if there are some.

    Behind a digit other digits are likely, behind anything else of a key's form only itself.
    """
    for start, end in (_DIGITS, _PRINTABLE, (_PRINTABLE[1] + 1, _LAST)):
        low, high = max(first, start), min(last, end)
        if low > high or (start == _DIGITS[0] and not is_end and first <= start):
            continue
        is_separator = start == _PRINTABLE[0] and not is_end and not chr(first - 1).isalpha()
        return low if is_separator else (low + high + 1) // 2
    return None


def _is_between(low: str, key: str, high: str | None) -> bool:
    return _order(low) < _order(key) and (high is None or _order(key) < _order(high))


def _order(key: str) -> bytes:
    """Return what Table storage orders keys by: their UTF-16 code units."""
    return key.encode("utf-16-be", "surrogatepass")
