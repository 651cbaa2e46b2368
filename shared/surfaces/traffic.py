"""Request counters of the traffic layer, per revision: the evidence of gates.

Counters only grow while `epoch` stays the same, so a reader subtracts its last sample. In a new
epoch the counters have begun again at 0.
"""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate, pairwise
from operator import mul
from typing import Final

from shared.kernel.dataclass import dataclass


def _bounds() -> tuple[float, ...]:
    bounds = [0.5]
    while bounds[-1] < 60_000:  # noqa: PLR2004  one minute
        bounds.append(round(max(bounds[-1] * 1.1, bounds[-1] + 0.5), 1))
    return tuple(bounds)


LATENCY_BOUNDS_MS: Final = _bounds()
"""Upper bounds of the latency buckets, 10 % apart: a gate must detect a difference of 25 %."""


@dataclass(frozen=True)
class Histogram:
    """`counts[i]` requests took at most `bounds_ms[i]` and more than the bound before it.

    There is one more count than bounds: the last one is of requests above all bounds.
    """

    bounds_ms: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)

    def minus(self, earlier: "Histogram") -> "Histogram":
        """Return the requests since *earlier*, which has the same bounds."""
        assert self.bounds_ms == earlier.bounds_ms
        return Histogram(
            self.bounds_ms,
            tuple(
                later - before for later, before in zip(self.counts, earlier.counts, strict=True)
            ),
        )

    def plus(self, more: "Histogram") -> "Histogram":
        """Return the requests of both, which have the same bounds."""
        assert self.bounds_ms == more.bounds_ms
        counts = tuple(map(sum, zip(self.counts, more.counts, strict=True)))
        return Histogram(self.bounds_ms, counts)

    def rebinned(self, bounds_ms: tuple[float, ...]) -> "Histogram":
        """Return the same requests in other buckets: those of one bucket are spread evenly in it.

        That is how `quantile_ms` sees them anyway. Those above all bounds stay above all bounds:
        how slow they were is not known, so no limit may let them pass.
        """
        edges, below = (0.0, *self.bounds_ms), [0, *accumulate(self.counts[:-1])]
        counts, before = [], 0
        for bound in bounds_ms:
            upper = bisect_left(edges, bound)
            if upper == len(edges):
                up_to = below[-1]
            elif upper == 0:
                up_to = 0
            else:
                low, high = edges[upper - 1], edges[upper]
                share = (bound - low) / (high - low)
                up_to = round(below[upper - 1] + (below[upper] - below[upper - 1]) * share)
            counts.append(up_to - before)
            before = up_to
        return Histogram(bounds_ms, (*counts, self.total - before))

    @property
    def mean_ms(self) -> float | None:
        """The average, as if those of a bucket were spread evenly in it; None without any."""
        edges = (0.0, *self.bounds_ms)
        middles = [(low + high) / 2 for low, high in pairwise(edges)]
        sums = sum(map(mul, (*middles, self.bounds_ms[-1]), self.counts))
        return sums / self.total if self.total else None

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
    """Counters of one revision from its clients' view; retries are not counted as requests.

    `by_class` has `2xx` ... `5xx`; `no_answer` counts the resets, timeouts and failed connects,
    which the traffic layer answered with a 5xx of its own.
    """

    requests: int
    by_class: Mapping[str, int]
    no_answer: int
    retries: int
    latency: Histogram

    @property
    def errors(self) -> int:
        return self.by_class.get("5xx", 0)

    def plus(self, more: "RevisionTraffic") -> "RevisionTraffic":
        classes = dict.fromkeys([*self.by_class, *more.by_class])
        return RevisionTraffic(
            self.requests + more.requests,
            {c: self.by_class.get(c, 0) + more.by_class.get(c, 0) for c in classes},
            self.no_answer + more.no_answer,
            self.retries + more.retries,
            self.latency.plus(more.latency),
        )

    def minus(self, earlier: "RevisionTraffic") -> "RevisionTraffic":
        return RevisionTraffic(
            self.requests - earlier.requests,
            {c: n - earlier.by_class.get(c, 0) for c, n in self.by_class.items()},
            self.no_answer - earlier.no_answer,
            self.retries - earlier.retries,
            self.latency.minus(earlier.latency),
        )


NO_TRAFFIC: Final = RevisionTraffic(0, {}, 0, 0, EMPTY)


@dataclass(frozen=True)
class TrafficSample:
    """Counters of all revisions of one component since the traffic layer started (`epoch`)."""

    taken_at: datetime
    epoch: str
    revisions: Mapping[int, RevisionTraffic]

    def since(self, earlier: "TrafficSample") -> Mapping[int, RevisionTraffic]:
        """Return the requests after *earlier*; all of them if the counters have been reset.

        A new epoch resets them, and so does a revision that was removed in between.
        """
        difference = {}
        for number, counters in self.revisions.items():
            before = earlier.revisions.get(number, NO_TRAFFIC)
            is_reset = earlier.epoch != self.epoch or before.requests > counters.requests
            difference[number] = counters if is_reset else counters.minus(before)
        return difference
