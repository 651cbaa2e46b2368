"""Where a gate reads requests, errors and latency, and by which queries."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import StringConstraints, model_validator

from shared.contracts.metrics import DIALECTS, QUERY_MAX, WINDOW, MetricSource, placeholders
from shared.contracts.patterns import pattern
from shared.contracts.shape import Value

QueryText = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[^\x00-\x08\x0b-\x1f\x7f]+$", "a query of the source, as docs/metrics.md has them"
        ),
        max_length=QUERY_MAX,
    ),
]


class GateSource(StrEnum):
    """The sources of measurements that have what a gate judges."""

    SURFACE = MetricSource.SURFACE.value
    PROMETHEUS = MetricSource.PROMETHEUS.value


class LatencyUnit(StrEnum):
    SECONDS = "s"
    MILLISECONDS = "ms"

    @property
    def in_ms(self) -> float:
        return 1000.0 if self is LatencyUnit.SECONDS else 1.0


class GateMetrics(Value):
    """The source that a gate reads, and its query for each kind of figure.

    Candidate and baseline are asked alike, each by its own revision.
    """

    source: GateSource = GateSource.SURFACE
    """Who measures; `surface` is the proxy that carries the requests, and takes no queries."""
    requests: QueryText | None = None
    """Requests in the window."""
    errors: QueryText | None = None
    """Of these, the ones that failed."""
    latency: QueryText | None = None
    """Their times as a histogram. Without this query latency is not judged."""
    latency_unit: LatencyUnit = LatencyUnit.SECONDS
    """Of the bounds of that histogram."""

    @property
    def measured_by(self) -> MetricSource:
        return MetricSource(self.source)

    @property
    def is_counted(self) -> bool:
        """Whether the surface's own proxy counts, so that there is nothing to ask for."""
        return self.source is GateSource.SURFACE

    @model_validator(mode="after")
    def _asks_for_what_a_gate_needs(self) -> Self:
        given = {name: text for name in _QUERIES if isinstance(text := getattr(self, name), str)}
        if self.is_counted:
            if given:
                raise ValueError(f"no {' and '.join(given)}: the surface takes no queries")
            return self
        missing = [name for name in _NEEDED if name not in given]
        if missing:
            raise ValueError(f"{' and '.join(missing)} for {self.source}: each needs a query")
        for name, text in given.items():
            try:
                found = {each.name for each in placeholders(text, DIALECTS[self.measured_by])}
            except ValueError as problem:
                raise ValueError(f"in {name}: {problem}") from problem
            if WINDOW not in found:
                raise ValueError(f"in {name}: {{{{window}}}}, which is the time that it is about")
        return self


_QUERIES: Final = ("requests", "errors", "latency")
_NEEDED: Final = ("requests", "errors")
