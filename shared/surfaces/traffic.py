"""Requests as the traffic layer counted them, per revision: the evidence of gates.

Counters only grow while `epoch` stays the same; a reader keeps the last sample and takes the
difference. Another epoch means that the counters began again at 0.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final


def _bounds() -> tuple[float, ...]:
    bounds = [0.5]
    while bounds[-1] < 60_000:  # noqa: PLR2004  a minute; nothing that is alive is slower
        bounds.append(round(max(bounds[-1] * 1.1, bounds[-1] + 0.5), 1))
    return tuple(bounds)


LATENCY_BOUNDS_MS: Final = _bounds()
"""Upper bounds of the latency buckets: 10 % apart, since a gate must tell 25 % from noise."""


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` requests took at most `bounds_ms[i]` and more than the bound before it.

    The last count, one more than there are bounds, is of those above them all.
    """

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)

    def minus(self, earlier: "Histogram") -> "Histogram":
        """Return what came since *earlier*, which has the same bounds."""
        assert self.bounds_ms == earlier.bounds_ms
        return Histogram(
            self.bounds_ms,
            tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True)),
        )

    def quantile_ms(self, fraction: float) -> float | None:
        """Return the latency that *fraction* of the requests did not exceed; None without any.

        Linear inside a bucket, as Prometheus' `histogram_quantile`.
        """
        rank = fraction * self.total
        if not self.total:
            return None
        below = 0
        edges = (0.0, *self.bounds_ms)
        for (low, high), count in zip(pairwise(edges), self.counts[:-1], strict=True):
            if count and below + count >= rank:
                return low + (high - low) * max(rank - below, 0) / count
            below += count
        return self.bounds_ms[-1]


EMPTY: Final = Histogram(LATENCY_BOUNDS_MS, (0,) * (len(LATENCY_BOUNDS_MS) + 1))


@dataclass(frozen=True)
class RevisionTraffic:
    """Counters of one revision, as its clients saw it; retries are on top of requests.

    `by_class` has `2xx` ... `5xx`; `no_answer` counts the resets, timeouts and failed connects
    among them, which the traffic layer answered with a 5xx of its own.
    """

    requests: int
    by_class: Mapping[str, int]
    no_answer: int
    retries: int
    latency: Histogram

    @property
    def errors(self) -> int:
        return self.by_class.get("5xx", 0)

    def minus(self, earlier: "RevisionTraffic") -> "RevisionTraffic":
        return RevisionTraffic(
            self.requests - earlier.requests,
            {c: n - earlier.by_class.get(c, 0) for c, n in self.by_class.items()},
            self.no_answer - earlier.no_answer,
            self.retries - earlier.retries,
            self.latency.minus(earlier.latency),
        )


class Counter:
    """Counts requests one by one, where the traffic layer is our own."""

    def __init__(self) -> None:
        self._by_class = {"2xx": 0, "5xx": 0}
        self._counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def add(self, *, latency_ms: float, is_error: bool) -> None:
        self._by_class["5xx" if is_error else "2xx"] += 1
        self._counts[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1

    def read(self) -> RevisionTraffic:
        latency = Histogram(LATENCY_BOUNDS_MS, tuple(self._counts))
        return RevisionTraffic(latency.total, dict(self._by_class), 0, 0, latency)


NO_TRAFFIC: Final = RevisionTraffic(0, {}, 0, 0, EMPTY)


@dataclass(frozen=True)
class TrafficSample:
    """Counters of all revisions of one component since the traffic layer started (`epoch`)."""

    taken_at: datetime
    epoch: str
    revisions: Mapping[int, RevisionTraffic]

    def since(self, earlier: "TrafficSample") -> Mapping[int, RevisionTraffic]:
        """Return what came after *earlier*; everything, where the counters began again.

        They begin again with another epoch, and for a revision that was taken away in between.
        """
        found = {}
        for number, now in self.revisions.items():
            then = earlier.revisions.get(number, NO_TRAFFIC)
            is_anew = earlier.epoch != self.epoch or then.requests > now.requests
            found[number] = now if is_anew else now.minus(then)
        return found
