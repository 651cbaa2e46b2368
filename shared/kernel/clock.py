"""Time: the only place that reads a clock or sleeps, so that a simulator can own both."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic seconds for durations, and sleep."""

    def now(self) -> datetime:
        """Return the instant as aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back; only differences have a meaning."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after *delay_s* seconds of this clock; zero lets other tasks run once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251  this is the one place

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)  # noqa: TID251  this is the one place


def isoformat(instant: datetime) -> str:
    """Return *instant* as ISO 8601 UTC with microseconds and `Z`, which sorts as text."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_instant(text: str) -> datetime:
    """Return the aware UTC instant that *text* names.

    Raises:
        ValueError: *text* is not ISO 8601, names no offset, or is of no year from 1 to 9999
            in UTC.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        msg = f"an instant needs an offset or Z, got {text!r}"
        raise ValueError(msg)
    try:
        return instant.astimezone(UTC)
    except OverflowError as problem:
        msg = f"an instant is from the year 1 to 9999 in UTC, got {text!r}"
        raise ValueError(msg) from problem
