"""What a client saw through each of several events, as a table that the test run prints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cli.demo.load_process import RequestRecord

TABLE: Final = "table"
"""The property of a test by which the run prints it; a worker's own output is not seen."""


@dataclass
class EventRow:
    """One event from `began_at` to `ended_at`.

    Of an event in which a node is lost, `lost_at` is when, and `detected_at` when no request is
    sent there any more.
    """

    name: str
    began_at: datetime
    ended_at: datetime
    requests: Sequence[RequestRecord] = ()
    lost_at: datetime | None = None
    detected_at: datetime | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.began_at).total_seconds()

    @property
    def failed(self) -> Sequence[RequestRecord]:
        return [each for each in self.requests if each.failure]

    @property
    def in_flight(self) -> Sequence[RequestRecord]:
        """Those that failed and were on their way when the node was lost."""
        return [each for each in self.failed if self.lost_at and each.sent_at <= self.lost_at]

    @property
    def undetected(self) -> Sequence[RequestRecord]:
        """Those that failed and were sent after the loss, before it was detected."""
        if self.lost_at is None or self.detected_at is None:
            return []
        return [each for each in self.failed if self.lost_at < each.sent_at <= self.detected_at]

    @property
    def unexplained(self) -> Sequence[RequestRecord]:
        """Those that failed though the platform could have helped it."""
        explained = [*self.in_flight, *self.undetected]
        return [each for each in self.failed if each not in explained]


def with_requests(row: EventRow, requests: Sequence[RequestRecord]) -> None:
    """Give *row* those of *requests* that were sent during it."""
    row.requests = [each for each in requests if row.began_at <= each.sent_at < row.ended_at]


def table(rows: Sequence[EventRow]) -> str:
    titles = f"{'event':<22}{'requests':>9}{'failed':>8}{'in flight':>11}{'until detected':>16}"
    lines = [f"{titles}{'slowest':>10}{'seconds':>9}  notes"]
    for row in rows:
        slowest_ms = max((each.latency_ms for each in row.requests), default=0.0)
        lines.append(
            f"{row.name:<22}{len(row.requests):>9}{len(row.failed):>8}{len(row.in_flight):>11}"
            f"{len(row.undetected):>16}{slowest_ms:>7.0f} ms{row.seconds:>9.1f}"
            f"  {'; '.join(row.notes)}"
        )
    return "\n".join(lines)
