"""The verdict of a gate: look after look, window after window, at the latest at the deadline.

Latency and errors are judged in windows, each by its own samples: two bad ones in a row fail, two
good ones in a row pass, and one without samples is neither. Errors that chance cannot explain at
all fail at once. Pass also needs readiness for a window and enough samples; whatever is undecided
at the deadline is Inconclusive. Time without a look moves the deadline.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.health.model.baseline_comparison import (
    SAMPLES_LEAST,
    compare_errors,
    compare_latency,
    yardstick,
)
from function_apps.health.model.gate_rules import analyse
from function_apps.health.model.gate_samples import Observation, Progress, Span, Streak, add, unseen
from function_apps.health.model.significance import SIGNIFICANCE
from shared.contracts.gates import EvaluateGate, Verdict
from shared.kernel.clock import isoformat, parse_instant

PATIENCE: Final = 3
"""A window with too few requests for latency stays open for more, but not longer than so many."""

SPREAD: Final = 50


def begin(at: str) -> Progress:
    return Progress(began_at=at, window_at=at)


def look(gate: EvaluateGate, before: Progress, seen: Observation) -> Progress:
    """Return the progress after *seen*, with a verdict once there is one."""
    if before.verdict is not None:
        return before
    if seen.problem:
        return _settle(gate, unseen(before, seen.problem), seen.at)
    blind_s = _blind_s(gate, before, seen.at)
    watched = replace(before, ready_since=None) if blind_s else before
    seeing = replace(add(watched, seen), looked_at=seen.at, blind_s=before.blind_s + blind_s)
    return _settle(gate, _close_window(gate, seeing, seen.at), seen.at)


def _blind_s(gate: EvaluateGate, progress: Progress, at: str) -> float:
    """Return how much too long it is since the last look that saw something.

    A window is not, nor a small part of a long deadline, over which looks are spread.
    """
    since = parse_instant(progress.looked_at or progress.began_at)
    usual = max(gate.window, (gate.deadline_at - gate.asked_at) / SPREAD)
    return max(0.0, (parse_instant(at) - since - usual).total_seconds())


def left_s(gate: EvaluateGate, progress: Progress, now: datetime) -> float:
    """Return the seconds from *now* to the deadline, as it stands without another look."""
    return (_deadline(gate, progress, isoformat(now)) - now).total_seconds()


def _deadline(gate: EvaluateGate, progress: Progress, at: str) -> datetime:
    """Return when to give up: time without a look does not count, up to once the time allowed.

    A host that was away over the deadline must not let a bad release through unseen.
    """
    blind = timedelta(seconds=progress.blind_s + _blind_s(gate, progress, at))
    return gate.deadline_at + min(blind, gate.deadline_at - gate.asked_at)


def _close_window(gate: EvaluateGate, progress: Progress, at: str) -> Progress:
    elapsed = parse_instant(at) - parse_instant(progress.window_at)
    window = progress.window
    is_thin = 0 < window.candidate.requests < SAMPLES_LEAST
    if elapsed < gate.window or (is_thin and elapsed < gate.window * PATIENCE):
        return progress
    healthy = yardstick(gate, progress.total.baseline, is_there=progress.has_baseline)
    baseline = None if healthy is None else window.baseline
    latency = compare_latency(gate.limits, window.candidate, baseline)
    is_slow = latency is not None and latency.verdict is Verdict.FAIL
    errors = compare_errors(gate, window, baseline)
    is_wrong = any(each.is_over and each.chance < SIGNIFICANCE for each in errors)
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
        return replace(
            progress, verdict=Verdict.FAIL, first_bad_at=progress.first_bad_at or at
        )  # fmt: skip
    if verdicts == {Verdict.PASS}:
        return replace(progress, verdict=Verdict.PASS)
    if parse_instant(at) >= _deadline(gate, progress, at):
        return replace(progress, verdict=Verdict.INCONCLUSIVE)
    return progress
