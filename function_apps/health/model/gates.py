"""The verdict of a gate: observation after observation, window after window, until the deadline.

Latency and errors are judged in windows, each by its own samples: two bad ones in a row fail, two
good ones in a row pass, and one without samples is neither. Errors that chance cannot explain fail
immediately. Pass also needs readiness for a window and enough samples. A gate without a verdict at
its deadline is Inconclusive. Time without an observation moves the deadline.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.health.model.baseline_comparison import (
    SAMPLES_LEAST,
    compare_errors,
    compare_latency,
    usable_baseline,
)
from function_apps.health.model.gate_rules import analyse
from function_apps.health.model.gate_samples import (
    Observation,
    Progress,
    Span,
    Streak,
    record_gap,
    record_samples,
)
from shared.contracts.gates import EvaluateGate, Verdict, extension_max
from shared.kernel.clock import isoformat, parse_instant

THIN_WINDOWS_MAX: Final = 3
"""A window with too few requests for latency stays open for more, at most for so many windows."""

OBSERVATIONS_LEAST: Final = 50
"""Over a long deadline observations are rare; this part of it between two is not yet a gap."""


def begin(at: str) -> Progress:
    return Progress(began_at=at, window_at=at)


def judge(gate: EvaluateGate, progress: Progress, observation: Observation) -> Progress:
    """Return *progress* after *observation*, with a verdict once there is one."""
    at = observation.at
    if progress.verdict is not None:
        return progress
    if observation.problem:
        return _settle(gate, record_gap(progress, observation.problem), at)
    gap_s = _gap_s(gate, progress, at)
    watched = replace(progress, ready_since=None) if gap_s else progress
    after = replace(
        record_samples(watched, observation),
        observed_at=at,
        unobserved_s=progress.unobserved_s + gap_s,
    )
    return _settle(gate, _close_window(gate, after, at), at)


def left_s(gate: EvaluateGate, progress: Progress, now: datetime) -> float:
    """Return the seconds from *now* to the deadline, as it stands without another observation."""
    return (_deadline(gate, progress, isoformat(now)) - now).total_seconds()


def _gap_s(gate: EvaluateGate, progress: Progress, at: str) -> float:
    """Return by how much the time since the last observation is longer than usual.

    Usual is a window, or a small part of a long deadline, over which observations are spread.
    """
    since = parse_instant(progress.observed_at or progress.began_at)
    usual = max(gate.window, (gate.deadline_at - gate.asked_at) / OBSERVATIONS_LEAST)
    return max(0.0, (parse_instant(at) - since - usual).total_seconds())


def _deadline(gate: EvaluateGate, progress: Progress, at: str) -> datetime:
    """Return the deadline, moved by the time without observations, up to a bound.

    A bad release must not go through because the host was away over the deadline.
    """
    unobserved = timedelta(seconds=progress.unobserved_s + _gap_s(gate, progress, at))
    return gate.deadline_at + min(unobserved, extension_max(gate.asked_at, gate.deadline_at))


def _close_window(gate: EvaluateGate, progress: Progress, at: str) -> Progress:
    elapsed = parse_instant(at) - parse_instant(progress.window_at)
    window = progress.window
    is_thin = 0 < window.candidate.requests < SAMPLES_LEAST
    if elapsed < gate.window or (is_thin and elapsed < gate.window * THIN_WINDOWS_MAX):
        return progress
    usable = usable_baseline(gate, progress.total.baseline, is_there=progress.has_baseline)
    baseline = None if usable is None else window.baseline
    latency = compare_latency(gate.limits, window.candidate, baseline)
    is_slow = latency is not None and latency.verdict is Verdict.FAIL
    errors = compare_errors(gate, window, baseline)
    is_wrong = any(finding.is_bad for finding in errors)
    first_bad_at = progress.first_bad_at
    if first_bad_at is None and (is_slow or is_wrong):
        first_bad_at = progress.window_at
    return replace(
        progress,
        window_at=at,
        window=Span(),
        latency_windows=_after(progress.latency_windows, latency, is_bad=is_slow),
        error_windows=_after(progress.error_windows, errors, is_bad=is_wrong),
        first_bad_at=first_bad_at,
        latency=latency or progress.latency,
    )


def _after(windows: Streak, evidence: object, *, is_bad: bool) -> Streak:
    return windows.plus(is_bad=is_bad) if evidence else windows


def _settle(gate: EvaluateGate, progress: Progress, at: str) -> Progress:
    verdicts = {analysis.verdict for analysis in analyse(gate, progress, at)}
    if Verdict.FAIL in verdicts:
        first_bad_at = progress.first_bad_at or at
        return replace(progress, verdict=Verdict.FAIL, first_bad_at=first_bad_at)
    if verdicts == {Verdict.PASS}:
        return replace(progress, verdict=Verdict.PASS)
    if parse_instant(at) >= _deadline(gate, progress, at):
        return replace(progress, verdict=Verdict.INCONCLUSIVE)
    return progress
