"""The rules of a gate, the weightiest first; each returns an analysis of the progress, or None."""

from collections.abc import Callable
from typing import Final

from function_apps.health.model.baseline_comparison import (
    SAMPLES_LEAST,
    ErrorComparison,
    compare_errors,
    usable_baseline,
)
from function_apps.health.model.gate_samples import Progress
from function_apps.health.model.gate_windows import judge_windows
from function_apps.health.model.significance import DOUBTFUL_P, IMMEDIATE_FAIL_P
from shared.contracts.gates import Analysis, EvaluateGate, Measure, Verdict
from shared.kernel.clock import parse_instant

Rule = Callable[[EvaluateGate, Progress, str], Analysis | None]


def analyse(gate: EvaluateGate, progress: Progress, at: str) -> tuple[Analysis, ...]:
    """Return the analyses of all rules that have one of the samples so far."""
    analyses = [rule(gate, progress, at) for rule in RULES]
    return tuple(analysis for analysis in analyses if analysis is not None)


def _readability(_gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    if not progress.problem:
        return None
    return Analysis(
        measure=Measure.SAMPLES,
        verdict=Verdict.INCONCLUSIVE,
        unit="count",
        reason=f"the surface could not be read: {progress.problem}"[:256],
    )


def _measurements(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    """Return an analysis while the provider has not measured what it was asked for."""
    if gate.metrics is None or gate.metrics.is_counted:
        return None
    if progress.unmeasured:
        first = progress.unmeasured[0]
        what = f"{first.metric} of revision {first.revision}: {first.cause}"
    elif progress.measured_at is None:
        what = "a first window yet"
    else:
        return None
    return Analysis(
        measure=Measure.SAMPLES,
        verdict=Verdict.INCONCLUSIVE,
        unit="count",
        reason=f"{gate.metrics.source} has not measured {what}"[:256],
    )


def _readiness(gate: EvaluateGate, progress: Progress, at: str) -> Analysis:
    if progress.is_over and progress.candidate_interrupted and not progress.problem:
        return _NOT_READY_AGAIN
    since = progress.ready_since
    ready_s = (parse_instant(at) - parse_instant(since)).total_seconds() if since else 0.0
    needed_s = gate.window.total_seconds()
    passes = since is not None and ready_s >= needed_s
    return Analysis(
        measure=Measure.READINESS,
        verdict=Verdict.PASS if passes else Verdict.INCONCLUSIVE,
        value=round(ready_s, 3),
        threshold=needed_s,
        unit="s",
        reason=f"all replicas ready for {ready_s:.0f} of {needed_s:.0f} s",
    )


_NOT_READY_AGAIN: Final = Analysis(
    measure=Measure.READINESS,
    verdict=Verdict.FAIL,
    unit="s",
    reason="not ready again after an interruption, until the deadline",
)


def _errors(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    """Judge all errors so far, and the windows with samples."""
    baseline = usable_baseline(gate, progress.total.baseline, is_there=progress.has_baseline)
    comparisons = compare_errors(gate, progress.total, baseline)
    if not comparisons:
        return None
    worst = min(comparisons, key=lambda comparison: (not comparison.is_over, comparison.chance))
    is_immediate = worst.is_over and worst.chance < IMMEDIATE_FAIL_P
    verdict, windows = judge_windows(progress.error_windows)
    if is_immediate and verdict is not Verdict.FAIL:
        verdict, windows = Verdict.FAIL, "too many for chance, so that no second window is awaited"
    elif verdict is Verdict.PASS and worst.is_over and worst.chance < DOUBTFUL_P:
        # Each window had too few requests to tell; all of them together have enough.
        verdict = Verdict.INCONCLUSIVE
        windows = f"{windows}, yet more in all of them than chance explains"
    return Analysis(
        measure=Measure.ERROR_RATIO,
        verdict=verdict,
        value=round(worst.ratio, 5),
        baseline=None if worst.baseline is None else round(worst.baseline, 5),
        threshold=round(worst.limit, 5),
        unit="ratio",
        reason=f"{_sentence(worst)}; {windows}",
    )


def _sentence(worst: ErrorComparison) -> str:
    counts = f"{worst.errors} of {worst.total} {worst.kind} failed"
    against = "" if worst.baseline is not None else ", absolute limit"
    is_chance = worst.ratio > worst.limit and not worst.is_bad
    return f"{counts}{against}: too few to tell" if is_chance else f"{counts}{against}"


def _latency(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    """Judge the windows with enough requests for latency.

    Where only traffic counts, the lack of such a window is missing evidence.
    """
    latest = progress.latency
    if latest is None:
        return None if gate.probes_count or not judges_latency(gate) else _NO_LATENCY
    verdict, windows = judge_windows(progress.latency_windows)
    if verdict is Verdict.INCONCLUSIVE:
        windows += f", each of at least {SAMPLES_LEAST} requests"
    return latest.model_copy(update={"verdict": verdict, "reason": f"{latest.reason}; {windows}"})


def judges_latency(gate: EvaluateGate) -> bool:
    """Return whether there is anything to judge latency by."""
    metrics = gate.metrics
    return metrics is None or metrics.is_counted or metrics.latency is not None


_NO_LATENCY: Final = Analysis(
    measure=Measure.LATENCY,
    verdict=Verdict.INCONCLUSIVE,
    unit="ms",
    reason=f"no window had the {SAMPLES_LEAST} requests that latency takes",
)


def _burn_rate(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    """Judge the error budget of the whole service, where it has an objective.

    One that burned too fast before is not held against the candidate, which may be the fix.
    """
    burn, limit = progress.burn, gate.limits.burn_rate_max
    if burn is None:
        return None
    if burn.long is None or burn.short is None:
        verdict, reason = Verdict.INCONCLUSIVE, "too few samples to measure the burn rate by"
    elif progress.burn_before is not None and progress.burn_before.is_over(limit):
        verdict, reason = Verdict.PASS, "burned as fast before this version"
    else:
        verdict = Verdict.FAIL if burn.is_over(limit) else Verdict.PASS
        reason = f"{burn.long:.1f} times the budget over the long window, {burn.short:.1f} now"
    return Analysis(
        measure=Measure.BURN_RATE,
        verdict=verdict,
        value=None if burn.long is None or burn.short is None else min(burn.long, burn.short),
        threshold=limit,
        unit="times",
        reason=reason,
    )


def _enough(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis:
    counted = progress.total.candidate.requests
    counted += progress.total.probes if gate.probes_count else 0
    return Analysis(
        measure=Measure.SAMPLES,
        verdict=Verdict.PASS if counted >= gate.min_samples else Verdict.INCONCLUSIVE,
        value=float(counted),
        threshold=float(gate.min_samples),
        unit="count",
        reason=f"{counted} of {gate.min_samples} samples",
    )


RULES: Final[tuple[Rule, ...]] = (
    _readability, _measurements, _readiness, _errors, _latency, _burn_rate, _enough,
)  # fmt: skip
