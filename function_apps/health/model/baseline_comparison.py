"""Comparison of the candidate with the baseline over one span: errors and latency.

Ratios are fractions of requests. A tie with a limit passes, as in Argo Rollouts' `failureLimit`.
"""

from collections.abc import Sequence
from typing import Final

from function_apps.health.model.gate_samples import Counts, Span
from function_apps.health.model.significance import (
    SIGNIFICANCE,
    chance_of_errors,
    chance_of_ratio,
    quantile_above,
)
from shared.contracts.gates import Analysis, EvaluateGate, GateLimits, Measure, Verdict
from shared.kernel.dataclass import dataclass
from shared.surfaces.traffic import Histogram

P99_FROM: Final = 1000
P95_FROM: Final = 100
ERRORS_LEAST: Final = 3
SAMPLES_LEAST: Final = 20
"""Latency is not judged on fewer requests."""


def usable_baseline(
    gate: EvaluateGate, baseline: Counts, *, is_there: bool
) -> Counts | None:  # fmt: skip
    """Return *baseline* if the candidate can be compared with it: it runs, has traffic, is healthy.

    A baseline over an absolute limit would excuse as much in the candidate, and a fix that answers
    properly may well be slower than an error.
    """
    if gate.baseline is None or not is_there or not baseline.requests:
        return None
    if baseline.errors / baseline.requests > gate.limits.error_ratio_max:
        return None
    p95_ms = baseline.histogram().quantile_ms(0.95)
    is_slow = p95_ms is not None and p95_ms > gate.limits.p95_ms_max
    return None if is_slow and baseline.requests >= SAMPLES_LEAST else baseline


@dataclass(frozen=True)
class ErrorComparison:
    """Errors against their limit, and the probability that chance alone gives so many.

    `kind` is requests or probes, `total` how many of them there were.
    """

    kind: str
    errors: int
    total: int
    limit: float
    baseline: float | None
    chance: float

    @property
    def ratio(self) -> float:
        return self.errors / self.total

    @property
    def is_over(self) -> bool:
        return self.errors >= ERRORS_LEAST and self.ratio > self.limit

    @property
    def is_bad(self) -> bool:
        """Return whether the errors are over the limit, and more than chance explains."""
        return self.is_over and self.chance < SIGNIFICANCE


def compare_errors(
    gate: EvaluateGate, span: Span, baseline: Counts | None
) -> Sequence[ErrorComparison]:
    """Return one comparison for the requests of *span* and one for its probes, where there are any.

    Probes are sent to the candidate only, so they are held to the absolute limit.
    """
    limits, candidate = gate.limits, span.candidate
    comparisons = []
    if candidate.requests and baseline is not None and baseline.requests:
        baseline_ratio = baseline.errors / baseline.requests
        limit = baseline_ratio + limits.error_ratio_increase_max
        chance = chance_of_errors(
            candidate.errors, candidate.requests, baseline.errors, baseline.requests
        )
        comparisons.append(
            ErrorComparison(
                "requests", candidate.errors, candidate.requests, limit, baseline_ratio, chance
            )
        )
    elif candidate.requests:
        comparisons.append(_absolute("requests", candidate.errors, candidate.requests, limits))
    if gate.probes_count and span.probes:
        comparisons.append(_absolute("probes", span.probe_errors, span.probes, limits))
    return comparisons


def _absolute(kind: str, errors: int, total: int, limits: GateLimits) -> ErrorComparison:
    limit = limits.error_ratio_max
    return ErrorComparison(kind, errors, total, limit, None, chance_of_ratio(errors, total, limit))


def compare_latency(
    limits: GateLimits, candidate: Counts, baseline: Counts | None
) -> Analysis | None:
    """Return the verdict of one window by itself; None where it has too few requests for one.

    With a baseline it is judged by p99 from 1,000 requests of each, by p95 from 100, else by p50,
    and fails when worse by more than both margins. Without one, or with too few requests of it, it
    is judged by p95 against the absolute limit.
    """
    if candidate.requests < SAMPLES_LEAST:
        return None
    if baseline is not None and baseline.requests < SAMPLES_LEAST:
        baseline = None
    fewest = min(candidate.requests, baseline.requests) if baseline else 0
    fraction = 0.99 if fewest >= P99_FROM else 0.95 if fewest >= P95_FROM or not baseline else 0.5
    histogram = candidate.histogram()
    value = histogram.quantile_ms(fraction)
    baseline_ms = baseline.histogram().quantile_ms(fraction) if baseline else None
    limit = limits.p95_ms_max
    if baseline_ms is not None:
        relative = baseline_ms * (1.0 + limits.latency_increase_ratio_max)
        limit = max(relative, baseline_ms + limits.latency_increase_ms_max)
    if value is None:
        return None
    slower = round(slower_than(histogram, limit))
    fails = value > limit and quantile_above(slower, candidate.requests, fraction)
    reason = f"p{fraction * 100:g} of {candidate.requests} requests in one window"
    if value > limit and not fails:
        reason += f", {slower} of them slower than {limit:.0f} ms: too few to tell"
    return Analysis(
        measure=Measure.LATENCY,
        verdict=Verdict.FAIL if fails else Verdict.PASS,
        value=round(value, 1),
        baseline=None if baseline_ms is None else round(baseline_ms, 1),
        threshold=round(limit, 1),
        unit="ms",
        reason=reason,
    )


def slower_than(histogram: Histogram, limit_ms: float) -> float:
    """Return how many requests took longer than *limit_ms*, linear inside its bucket."""
    above, low = 0.0, 0.0
    for high, count in zip(histogram.bounds_ms, histogram.counts[:-1], strict=True):
        if low >= limit_ms:
            above += count
        elif high > limit_ms:
            above += count * (high - limit_ms) / (high - low)
        low = high
    return above + histogram.counts[-1]
