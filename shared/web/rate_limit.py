"""How many requests a tenant may send: GCRA, the generic cell rate algorithm (ITU-T I.371).

One number per tenant: the instant at which its bucket is empty again. Counted per instance of an
app: nothing is shared, so a tenant may get the limit once from each instance (`docs/limits.md`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid, Unavailable

RATE_PER_S: Final = 100.0
"""A person and a pipeline with a few watchers stay below a tenth of it."""
BURST: Final = 200
_TENANTS_MAX: Final = 10_000


class TooManyRequests(Unavailable):
    """The tenant sent more than its rate; 429 with the seconds after which one more fits."""


@dataclass
class RateLimit:
    """Lets *burst* requests of a tenant through at once, and *per_s* a second in the long run."""

    per_s: float
    burst: int
    clock: Clock
    _empty_at_s: dict[str, float] = field(default_factory=dict)

    def take(self, tenant: str) -> None:
        """Count one request of *tenant*.

        Raises:
            TooManyRequests: it is over its rate; a refused request is not counted.
        """
        now_s = self.clock.monotonic_s()
        interval_s = 1 / self.per_s
        after_s = max(self._empty_at_s.get(tenant, now_s), now_s) + interval_s
        too_early_s = after_s - now_s - self.burst * interval_s
        # A thousandth of an interval: sums of fractions are not exact.
        if too_early_s > interval_s / 1000:
            raise TooManyRequests(
                f"over {self.per_s:g} requests a second; send it again later",
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


def rate_limit(settings: Mapping[str, str], clock: Clock) -> RateLimit:
    """Return the limit that `RUNTIME_RATE_PER_S` and `RUNTIME_RATE_BURST` set.

    Raises:
        Invalid: one of them is not a number from 1.
    """
    per_s = _number(settings, "RUNTIME_RATE_PER_S", RATE_PER_S)
    burst = _number(settings, "RUNTIME_RATE_BURST", BURST)
    return RateLimit(per_s, int(burst), clock)


def _number(settings: Mapping[str, str], name: str, default: float) -> float:
    text = settings.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 1 <= value < float("inf"):
        raise Invalid(f"{name}: expected a number from 1, got {text[:40]!r}", code="InvalidSetting")
    return value
