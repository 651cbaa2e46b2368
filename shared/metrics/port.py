"""The Metrics port: what was measured of a component, a revision or an instance over a window.

A provider that is down, a value that is no number, a series that is absent or has ended, and a
window that is covered in part are results of their own, never 0: whoever decides by a measurement
has to say what it does without one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeAlias

from shared.contracts.metrics import Metric
from shared.kernel.dataclass import dataclass
from shared.kernel.observation import Unknown
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import Histogram

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """What is measured: a component, of it one revision, or one instance."""

    component: SurfaceComponent
    revision: int | None = None
    instance: str | None = None


@dataclass(frozen=True)
class MetricsQuery:
    """One question: *metric* of *subject* from *since* to *until*.

    `text` is the provider's own query with placeholders (`shared.contracts.metrics`); providers
    that have a name of their own for the metric take none. `latency_unit_ms` is that of the bounds
    of a histogram, in milliseconds. `instances`: so many are expected to be measured; fewer are
    incomplete.
    """

    metric: Metric
    subject: Subject
    since: datetime
    until: datetime
    text: str = ""
    latency_unit_ms: float = 1000.0
    resource: str = ""
    """Of Azure Monitor: the id of the resource."""
    namespace: str = ""
    """Of Azure Monitor: the namespace of its metrics, such as `Microsoft.App/containerapps`."""
    instances: int | None = None

    @property
    def window(self) -> timedelta:
        return self.until - self.since


@dataclass(frozen=True)
class Measured:
    """`value` in the unit of its metric, a histogram in milliseconds for latency."""

    value: float | Histogram
    at: datetime
    """The end of what was measured."""
    query: str = ""
    """As the provider was asked, filled in."""


@dataclass(frozen=True)
class Missing:
    """The provider answered, and has no such series. That is not 0."""

    reason: str
    query: str = ""


@dataclass(frozen=True)
class Stale:
    """The newest value is of *at*, which is too long ago."""

    reason: str
    at: datetime
    query: str = ""


@dataclass(frozen=True)
class Unmeasurable(Unknown):
    """No reliable answer: away, throttled, not a number, several series, covered in part."""

    query: str = ""
    covered_since: datetime | None = None
    """Where a part of the window was never measured: since when all of it was."""


Measurement: TypeAlias = Measured | Missing | Stale | Unmeasurable


@dataclass(frozen=True)
class Resolution:
    """How fine a provider measures.

    A window is complete after `delay`, begins and ends at multiples of `grain`, and is at least
    `window_least` long.
    """

    delay: timedelta = timedelta(0)
    grain: timedelta = timedelta(seconds=1)
    window_least: timedelta = timedelta(seconds=1)

    def complete_until(self, now: datetime) -> datetime:
        """Return the end of the last window that is complete."""
        return _EPOCH + (now - self.delay - _EPOCH) // self.grain * self.grain


class Metrics(Protocol):
    """A provider of measurements."""

    @property
    def resolution(self) -> Resolution: ...

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        """Return the measurement of each query, in their order. Nothing is raised."""
        ...
