"""How many requests a tenant may send: GCRA, the generic cell rate algorithm (ITU-T I.371).

One number per tenant: the instant at which its bucket is empty again. Counted per instance of an
app: nothing is shared, so a tenant may get the limit once from each instance (`docs/limits.md`).
"""

from dataclasses import field
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable

RATE_PER_S: Final = 100.0
"""A person and a pipeline with a few watchers stay below a tenth of it."""
BURST: Final = 200
WRITES_PER_S: Final = 5.0
"""Each of them may lead to an operation, which takes a hundred times what a read takes."""
WRITES_BURST: Final = 60
"""The 50 modules of one release, each with an archive, and what goes with them."""
FOLLOWS_PER_S: Final = 200.0
"""Requests of workloads that follow something: each instance sends one a minute, held meanwhile."""
FOLLOWS_BURST: Final = 2000
"""As many instances, which are all answered by one publish, and ask again at once."""
BYTES_A_WRITE: Final = 4 * 2**20
"""Of a long body; two archives of the largest size are a burst."""
_TENANTS_MAX: Final = 10_000


class TooManyRequests(Unavailable):
    """The tenant sent more than its rate; 429 with the seconds after which one more fits."""


@dataclass
class RateLimit:
    """Lets *burst* requests of a tenant through at once, and *per_s* a second in the long run."""

    per_s: float
    burst: int
    clock: Clock
    counted: str = "requests"
    _empty_at_s: dict[str, float] = field(default_factory=dict)

    def take(self, tenant: str, cost: float = 1.0) -> None:
        """Count one request of *tenant*, or *cost* of them.

        What costs more than *burst* is let through when nothing was sent for a while.

        Raises:
            TooManyRequests: it is over its rate; a refused request is not counted.
        """
        now_s = self.clock.monotonic_s()
        interval_s = 1 / self.per_s
        after_s = max(self._empty_at_s.get(tenant, now_s), now_s)
        after_s += interval_s * min(cost, self.burst)
        too_early_s = after_s - now_s - self.burst * interval_s
        # A thousandth of an interval: sums of fractions are not exact.
        if too_early_s > interval_s / 1000:
            raise TooManyRequests(
                f"over {self.per_s:g} {self.counted} a second; send it again later",
                retry_after_s=too_early_s,
                throttled=True,
            )
        if len(self._empty_at_s) >= _TENANTS_MAX:
            self._forget_idle(now_s)
        self._empty_at_s[tenant] = after_s

    def _forget_idle(self, now_s: float) -> None:
        idle = [tenant for tenant, at_s in self._empty_at_s.items() if at_s <= now_s]
        for tenant in idle:
            del self._empty_at_s[tenant]


@dataclass(frozen=True)
class Rates:
    """What a tenant may send: requests, of these writes, long ones by their size; and follows.

    Its workloads, who follow, take nothing from its people and pipelines, nor these from them.
    """

    requests: RateLimit
    writes: RateLimit
    follows: RateLimit

    def take(self, tenant: str, *, is_write: bool, is_follow: bool = False) -> None:
        """Count one request of *tenant*. Raises TooManyRequests."""
        if is_follow:
            self.follows.take(tenant)
            return
        self.requests.take(tenant)
        if is_write:
            self.writes.take(tenant)

    def take_body(self, tenant: str, size: int) -> None:
        """Count a long body of *size* bytes before it is read. Raises TooManyRequests."""
        self.writes.take(tenant, size / BYTES_A_WRITE)
