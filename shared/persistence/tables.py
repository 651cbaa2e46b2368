"""The Table port: append-mostly rows by partition and row key (audit records, samples)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import UNREADABLE

T = TypeVar("T")
Value = str | int | float | bool
DELETED_MAX: Final = 1000
"""Rows that one deletion removes: others write meanwhile, and wait for it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableRow:
    """One entity. Keys sort as text; values are flat, as Azure Table storage has them."""

    partition_key: str
    row_key: str
    values: Mapping[str, Value]


class RowExists(Exception):
    """`insert` met a row of the same keys; `row_key` says which. Nothing was added."""

    def __init__(self, row_key: str) -> None:
        super().__init__(f"a row with the key {row_key!r} exists")
        self.row_key = row_key


class Table(Protocol):
    """One table."""

    async def insert(self, rows: Sequence[TableRow]) -> None:
        """Add at most 100 *rows* of one partition, all or none (an entity group transaction).

        Raises:
            RowExists: a key is taken; nothing was added.
            Unavailable: throttled or away.
        """
        ...

    async def upsert(self, rows: Sequence[TableRow]) -> None:
        """Write at most 100 *rows* of one partition, all or none."""
        ...

    async def get(self, partition_key: str, row_key: str) -> TableRow | None: ...

    async def scan(
        self,
        partition_key: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[TableRow]:
        """Return at most *limit* rows, 1 to 1,000, with *after* < row key < *before*, in order.

        Raises Invalid for another limit.
        """
        ...

    async def delete_before(self, partition_key: str, row_key: str) -> int:
        """Delete the first 1,000 rows whose key sorts before *row_key*; return how many."""
        ...


async def delete_all_before(table: Table, partition_key: str, row_key: str) -> int:
    """Delete every row of a partition whose key sorts before *row_key*; return how many."""
    deleted = 0
    while count := await table.delete_before(partition_key, row_key):
        deleted += count
    return deleted


def readable_rows(rows: Sequence[TableRow], read: Callable[[TableRow], T]) -> list[T]:
    """Return what *read* makes of each of *rows*; one that nobody can read is left out, and logged.

    For lists that people read, of which one damaged row is not to take the others. What is decided
    on needs all.
    """
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE:
            _log.exception("%s in %s cannot be read", row.row_key, row.partition_key)
    return found
