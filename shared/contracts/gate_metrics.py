"""Where a gate reads requests, errors and latency, and by which queries."""

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import StringConstraints, model_validator

from shared.contracts.metrics import (
    DIALECTS,
    QUERY_MAX,
    RESOURCE_ID,
    WINDOW,
    Dialect,
    MetricSource,
    placeholders,
)
from shared.contracts.patterns import pattern
from shared.contracts.shape import Value
from shared.contracts.values import Label
from shared.kernel.dataclass import dataclass

QueryText = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[^\x00-\x08\x0b-\x1f\x7f]+$", "a query of the source, as docs/metrics.md has them"
        ),
        max_length=QUERY_MAX,
    ),
]

ResourceId = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            RESOURCE_ID,
            "the id of an Azure resource, /subscriptions/…/resourceGroups/…/providers/…",
        ),
        max_length=1024,
    ),
]


class GateSource(StrEnum):
    """The sources of measurements that have what a gate judges."""

    SURFACE = MetricSource.SURFACE.value
    PROMETHEUS = MetricSource.PROMETHEUS.value
    AZURE_MONITOR = MetricSource.AZURE_MONITOR.value
    LOG_ANALYTICS = MetricSource.LOG_ANALYTICS.value


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

    resource: ResourceId | None = None
    """For `azureMonitor`: the id of the resource whose metrics they are."""
    namespace: Label | None = None
    """For `azureMonitor`: the namespace of the metrics, such as `Microsoft.App/containerApps`."""

    @property
    def measured_by(self) -> MetricSource:
        return MetricSource(self.source)

    @property
    def is_counted(self) -> bool:
        """Whether the surface's own proxy counts, so that there is nothing to ask for."""
        return self.source is GateSource.SURFACE

    @model_validator(mode="after")
    def _asks_for_what_a_gate_needs(self) -> Self:
        given = {name: text for name in _QUERIES if (text := getattr(self, name)) is not None}
        is_azure = self.source is GateSource.AZURE_MONITOR
        if self.is_counted and given:
            raise ValueError(f"no {' and '.join(given)}: the surface takes no queries")
        if is_azure != (self.resource is not None) or is_azure != (self.namespace is not None):
            raise ValueError("resource and namespace for azureMonitor, and for it alone")
        if is_azure and self.latency is not None:
            raise ValueError("no latency: Azure Monitor has no histogram of it")
        missing = [] if self.is_counted else [name for name in _NEEDED if name not in given]
        if missing:
            raise ValueError(f"{' and '.join(missing)} for {self.source}: each needs a query")
        for name, text in given.items():
            _check(name, text, DIALECTS[self.measured_by])
        return self


def _check(name: str, text: str, dialect: Dialect) -> None:
    """Check the placeholders of the query *name*. Raises ValueError."""
    try:
        found = {each.name for each in placeholders(text, dialect)}
    except ValueError as problem:
        raise ValueError(f"in {name}: {problem}") from problem
    if dialect is Dialect.PROMQL and WINDOW not in found:
        raise ValueError(f"in {name}: {{{{window}}}}, which is the time that it is about")
    if dialect is Dialect.ODATA:
        azure_metric(text)


@dataclass(frozen=True)
class AzureMetric:
    """A query of Azure Monitor: `metric | aggregation | filter | dimension = value`.

    With a dimension the metric is split by it, and one value of it is counted: it is 0 where others
    were measured and it was not.
    """

    name: str
    aggregation: str
    condition: str = ""
    dimension: str = ""
    value: str = ""


def azure_metric(text: str) -> AzureMetric:
    """Return the query that *text* is, the last two parts optional. Raises ValueError."""
    name, aggregation, condition, split, *more = [*map(str.strip, text.split("|")), "", ""]
    dimension, _, value = map(str.strip, split.partition("="))
    is_split = bool(dimension and value and _COUNTED.fullmatch(aggregation))
    is_whole = bool(name and _AGGREGATION.fullmatch(aggregation)) and not any(more)
    if not is_whole or (split and not is_split):
        raise ValueError(
            "metric | Total, Average, Count, Minimum or Maximum | filter | dimension = value, the"
            " last of a Total or a Count"
        )
    return AzureMetric(name, aggregation.capitalize(), condition, dimension, value)


_QUERIES: Final = ("requests", "errors", "latency")
_NEEDED: Final = ("requests", "errors")
_COUNTED: Final = re.compile(r"(?i)total|count")
_AGGREGATION: Final = re.compile(r"(?i)total|average|count|minimum|maximum")
