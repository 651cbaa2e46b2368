"""The windows of a gate: when one closes, and what several of them in a row decide.

Latency and errors are judged in a window by its own samples. Two bad windows in a row fail and two
good ones pass; a window without samples is neither.
"""

from dataclasses import replace
from typing import Final

from function_apps.health.model.baseline_comparison import (
    SAMPLES_LEAST,
    compare_errors,
    compare_latency,
    usable_baseline,
)
from function_apps.health.model.gate_samples import Progress, Span, Streak
from shared.contracts.gates import EvaluateGate, Verdict
from shared.kernel.clock import parse_instant

WINDOWS_IN_A_ROW: Final = 2
"""So many bad ones fail and so many good ones pass; anything less is not yet a verdict."""
THIN_WINDOWS_MAX: Final = 3
"""A window with too few requests for latency stays open for more, at most for so many windows."""


def close_window(gate: EvaluateGate, progress: Progress, at: str) -> Progress:
    """Return *progress* with its window judged and a new one open, once it was open long enough."""
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
    is_wrong = any(comparison.is_bad for comparison in errors)
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


def judge_windows(windows: Streak) -> tuple[Verdict, str]:
    """Return the verdict of *windows*, and the sentence that explains it."""
    if windows.bad >= WINDOWS_IN_A_ROW:
        return Verdict.FAIL, f"{windows.bad} bad windows in a row"
    if windows.good >= WINDOWS_IN_A_ROW:
        return Verdict.PASS, f"{windows.good} good windows in a row"
    counted = f"{windows.bad} bad" if windows.bad else f"{windows.good} good"
    return Verdict.INCONCLUSIVE, f"{counted} of the {WINDOWS_IN_A_ROW} windows in a row it takes"
