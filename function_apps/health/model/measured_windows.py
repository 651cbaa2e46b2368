"""The windows that a provider measures for a gate: when one is due, and its counts.

They follow each other without a gap from the beginning of the gate. One that could not be measured
is asked for again, longer by the time since; where a part of it was never measured, only what came
after that part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Final

from function_apps.health.model.gate_samples import Counts, Progress
from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.gates import EvaluateGate, Unmeasured
from shared.contracts.metrics import QUERY_MAX, Metric
from shared.kernel.clock import parse_instant
from shared.kernel.dataclass import dataclass
from shared.metrics.port import (
    Measured,
    Measurement,
    MetricsQuery,
    Resolution,
    Subject,
    Unmeasurable,
)
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram

_CAUSE_MAX: Final = 500
_ROUNDING: Final = 2.0
"""Rates over a window are extrapolated to its ends, each series by itself."""
_DIFFERENCE_MAX: Final = 0.2
"""Of the requests: so many more or fewer may be in their histogram."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class VersionCounts:
    """The counts of both versions, as an observation has them."""

    epoch: str = ""
    candidate: Counts | None = None
    baseline: Counts | None = None
    problem: str = ""
    measured_at: str | None = None
    unmeasured: tuple[Unmeasured, ...] = field(default_factory=tuple)


def due_window(
    gate: EvaluateGate, progress: Progress, now: datetime, resolution: Resolution
) -> tuple[datetime, datetime] | None:
    """Return the next window to measure, from and to; None while it is too short, or not over."""
    grain = resolution.grain
    measured_at = parse_instant(progress.measured_at or progress.began_at)
    since = _EPOCH + -(-(measured_at - _EPOCH) // grain) * grain
    until = resolution.complete_until(now)
    return (since, until) if until - since >= max(gate.window, resolution.window_least) else None


def window_queries(
    metrics: GateMetrics, subject: Subject, since: datetime, until: datetime
) -> Mapping[Metric, MetricsQuery]:
    """Return what is asked about one version."""
    texts = {
        Metric.REQUESTS: metrics.requests,
        Metric.ERRORS: metrics.errors,
        Metric.LATENCY: metrics.latency,
    }
    return {
        metric: MetricsQuery(
            metric,
            subject,
            since,
            until,
            text,
            metrics.latency_unit.in_ms,
            resource=metrics.resource or "",
            namespace=metrics.namespace or "",
        )
        for metric, text in texts.items()
        if text is not None
    }


def window_counts(
    metrics: GateMetrics, revision: int, measured: Mapping[Metric, Measurement]
) -> Counts | tuple[Unmeasured, ...]:
    """Return the counts of one version in one window, or what keeps it from having any."""
    unmeasured = tuple(
        _unmeasured(metrics, revision, metric, measurement.reason, measurement)
        for metric, measurement in measured.items()
        if not isinstance(measurement, Measured)
    )
    if unmeasured:
        return unmeasured
    requests, errors = (_number(measured[each]) for each in (Metric.REQUESTS, Metric.ERRORS))
    if errors > requests * (1 + _DIFFERENCE_MAX) + _ROUNDING:
        why = f"{errors:g} errors of {requests:g} requests: the queries are not about the same"
        return (_unmeasured(metrics, revision, Metric.ERRORS, why, measured[Metric.ERRORS]),)
    latency = _histogram(measured.get(Metric.LATENCY))
    if latency is not None and abs(latency.total - requests) > max(
        requests * _DIFFERENCE_MAX, _ROUNDING
    ):
        why = (
            f"its histogram has {latency.total} of {requests:g} requests: the queries are not about"
            " the same"
        )
        return (_unmeasured(metrics, revision, Metric.LATENCY, why, measured[Metric.LATENCY]),)
    rounded = round(requests)
    return Counts(rounded, min(round(errors), rounded), _buckets(latency))


def covered_since(measured: Sequence[Measurement]) -> datetime | None:
    """Return since when nothing is missing for good, where something is: no answer will have it."""
    ends = [
        each.covered_since
        for each in measured
        if isinstance(each, Unmeasurable) and each.covered_since is not None
    ]
    return max(ends, default=None)


def _unmeasured(
    metrics: GateMetrics, revision: int, metric: Metric, why: str, measurement: Measurement
) -> Unmeasured:
    return Unmeasured(
        source=metrics.measured_by,
        metric=metric,
        revision=revision,
        query=measurement.query[: 2 * QUERY_MAX],
        cause=why[:_CAUSE_MAX],
    )


def _number(measurement: Measurement) -> float:
    assert isinstance(measurement, Measured)
    assert not isinstance(measurement.value, Histogram)
    return measurement.value


def _histogram(measurement: Measurement | None) -> Histogram | None:
    if measurement is None:
        return None
    assert isinstance(measurement, Measured)
    assert isinstance(measurement.value, Histogram)
    return measurement.value


def _buckets(latency: Histogram | None) -> Mapping[str, int]:
    if latency is None:
        return {}
    counts = latency.rebinned(LATENCY_BOUNDS_MS).counts
    return {str(bucket): count for bucket, count in enumerate(counts) if count}
