"""The events that an objective counts, good and bad, in buckets: of bounded size for any load.

Each rule has a ring of buckets over its long window. Events that were counted between two readings
are spread evenly over the time between, and the oldest bucket counts by the part of it that is
still in the window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.kernel.dataclass import dataclass

BUCKETS: Final = 60
"""Of a long window; its short window has five."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Events:
    """Events, and those of them that were bad."""

    total: float = 0.0
    bad: float = 0.0

    def plus(self, more: "Events") -> "Events":
        return Events(self.total + more.total, self.bad + more.bad)

    def times(self, part: float) -> "Events":
        return Events(self.total * part, self.bad * part)


_NONE: Final = Events()


@dataclass(frozen=True)
class Ring:
    """The buckets of one window, by number from the epoch: the newest is `newest`, and the last."""

    newest: int = 0
    buckets: tuple[Events, ...] = (_NONE,) * (BUCKETS + 1)

    def at(self, number: int) -> Events:
        """Return the bucket *number*; without events where it is out of the ring."""
        place = number - self.newest + BUCKETS
        return self.buckets[place] if 0 <= place <= BUCKETS else _NONE

    def advanced(self, number: int) -> "Ring":
        """Return the ring with *number* as its newest bucket; never an earlier one."""
        if number <= self.newest:
            return self
        return Ring(number, tuple(self.at(each) for each in range(number - BUCKETS, number + 1)))

    def plus(self, number: int, more: Events) -> "Ring":
        place = number - self.newest + BUCKETS
        buckets = list(self.buckets)
        buckets[place] = buckets[place].plus(more)
        return replace(self, buckets=tuple(buckets))


@dataclass(frozen=True)
class CountedEvents:
    """Events since a counter began: they only grow while `epoch` stays the same."""

    epoch: str = ""
    by_revision: Mapping[str, Events] = field(default_factory=dict)

    def since(self, earlier: "CountedEvents") -> Events:
        """Return the events after *earlier*; all of them where the counter began anew."""
        more = _NONE
        for name, now in self.by_revision.items():
            before = earlier.by_revision.get(name, _NONE)
            is_reset = earlier.epoch != self.epoch or before.total > now.total
            since = now if is_reset else Events(now.total - before.total, now.bad - before.bad)
            # A histogram is read between its bounds, so a bad event may move by a rounding.
            more = more.plus(Events(since.total, max(0.0, since.bad)))
        return more


@dataclass(frozen=True)
class BurnSamples:
    """The events counted for one measure: it begins anew with another one.

    `read_at` is the last reading, and `counters` what the surface's proxy counted until then. The
    rings are kept by the seconds of their window.
    """

    measure: str = ""
    read_at: datetime | None = None
    counters: CountedEvents | None = None
    rings: Mapping[str, Ring] = field(default_factory=dict)
    problem: str = ""
    """The reason for which a provider measured nothing the last time."""

    def with_counters(self, counters: CountedEvents) -> tuple["BurnSamples", Events]:
        """Return these with the counters as they are now, and the events since the last time.

        The first reading only marks where they stand.
        """
        more = _NONE if self.counters is None else counters.since(self.counters)
        return replace(self, counters=counters), more

    def plus(self, more: Events, windows: Sequence[timedelta], now: datetime) -> "BurnSamples":
        """Return these with the events since the last reading; rings of other windows go.

        A clock that was set back adds to the newest bucket.
        """
        rings = {}
        for window in windows:
            key = _key(window)
            width = window / BUCKETS
            until = (now - _EPOCH) / width
            since = until if self.read_at is None else (self.read_at - _EPOCH) / width
            rings[key] = _spread(self.rings.get(key, Ring()), more, min(since, until), until)
        return replace(self, read_at=now, rings=rings, problem="")

    def within(self, window: timedelta, last: timedelta, now: datetime) -> Events:
        """Return the events of the *last* part of *window*, up to *now*."""
        ring, width = self.rings.get(_key(window)), window / BUCKETS
        if ring is None:
            return _NONE
        until = (now - _EPOCH) / width
        oldest = int(until) - round(last / width)
        part = ring.at(oldest).times(1.0 - until % 1.0)
        whole = ring.buckets[max(0, oldest + 1 - ring.newest + BUCKETS) :]
        return Events(
            part.total + sum(each.total for each in whole),
            part.bad + sum(each.bad for each in whole),
        )

    def bad_since(self, window: timedelta, ratio: float, now: datetime) -> datetime:
        """Return the beginning of the buckets up to *now* of which at least *ratio* is bad.

        Buckets without events are passed over.
        """
        ring, width = self.rings.get(_key(window), Ring()), window / BUCKETS
        since = now
        for number in range(ring.newest, ring.newest - BUCKETS - 1, -1):
            events = ring.at(number)
            if events.total and events.bad < ratio * events.total:
                break
            if events.total:
                since = min(now, _EPOCH + number * width)
        return since


def _spread(ring: Ring, more: Events, since: float, until: float) -> Ring:
    """Return *ring* with *more* from *since* to *until*, in buckets from the epoch."""
    newest = int(until)
    ring = ring.advanced(newest)
    if not more.total:
        return ring
    length = until - since
    if not length:
        return ring.plus(ring.newest, more)
    for number in range(max(int(since), ring.newest - BUCKETS), newest + 1):
        overlap = min(until, number + 1) - max(since, number)
        ring = ring.plus(number, more.times(overlap / length))
    return ring


def _key(window: timedelta) -> str:
    return f"{window.total_seconds():g}"
