"""Which partitions of a container a request is about."""

from dataclasses import dataclass
from typing import Any

from shared.persistence.effective_key import effective_key

_FIRST = ""
_END = "FF"


@dataclass(frozen=True)
class PartitionRange:
    """Which partitions a query or feed covers; all of them when nothing is set.

    Keys are effective ones; `end_key` is not in the range.
    """

    partition: str | None = None
    feed_range: int | None = None
    start_key: str = _FIRST
    end_key: str = _END

    def holds(self, partition: str) -> bool:
        if self.start_key == _FIRST and self.end_key == _END:
            return True
        return self.start_key <= effective_key(partition) < self.end_key

    def restricted(self, sql: str, parameters: list[Any]) -> tuple[str, list[Any]]:
        """Return *sql*, which ends in a condition, for the partition and feed range only."""
        if self.partition is not None:
            sql, parameters = f"{sql} AND partition = ?", [*parameters, self.partition]
        if self.feed_range is not None:
            sql, parameters = f"{sql} AND feed = ?", [*parameters, self.feed_range]
        return sql, parameters


def range_below(prefix: str) -> PartitionRange:
    """Return the range of all keys that begin with the stored key *prefix*."""
    start = effective_key(prefix)
    return PartitionRange(start_key=start, end_key=f"{start}{_END}")
