"""The verdict of a gate: observation after observation, window after window, until the deadline.

Latency and errors are judged in windows, each by its own samples: two bad ones in a row fail, two
good ones in a row pass, and one without samples is neither. Errors that chance cannot explain fail
immediately, and those that it hardly explains keep good windows from passing. Pass also needs
readiness for a window and enough samples. A gate without a verdict at its deadline is Inconclusive;
it fails when its candidate is not ready again after an interruption. Time in which nothing could be
judged moves the deadline: up to a bound, or by all of it where the host was away.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.health.model.gate_rules import analyse
from function_apps.health.model.gate_samples import (
    Observation,
    Progress,
    record_gap,
    record_samples,
)
from function_apps.health.model.gate_windows import close_window
from shared.contracts.gates import EvaluateGate, Verdict, extension_max
from shared.kernel.clock import isoformat, parse_instant

OBSERVATIONS_LEAST: Final = 50
"""Over a long deadline observations are rare; this part of it between two is not yet a gap."""


def begin(gate: EvaluateGate, at: str) -> Progress:
    """Return the progress before the first observation.

    A gate that begins late, or anew because its run was lost, was not observed until then.
    """
    late_s = _over_usual_s(gate, isoformat(gate.asked_at), at)
    return Progress(
        began_at=at,
        window_at=at,
        unobserved_s=late_s,
        away_s=late_s,
        candidate_interrupted=late_s > 0,
        baseline_interrupted=late_s > 0,
    )


def judge(gate: EvaluateGate, progress: Progress, observation: Observation) -> Progress:
    """Return *progress* after *observation*, with a verdict once there is one."""
    at = observation.at
    if progress.verdict is not None:
        return progress
    looked_at = progress.looked_at or progress.observed_at or progress.began_at
    away_s = progress.away_s + _over_usual_s(gate, looked_at, at)
    polled = replace(progress, looked_at=at, away_s=away_s)
    if observation.problem:
        return _settle(gate, record_gap(polled, observation.problem), at)
    has_gap = _gap_s(gate, progress, at) > 0
    progressed = replace(polled, ready_since=None) if has_gap else polled
    after = replace(
        record_samples(progressed, observation, has_gap=has_gap),
        observed_at=at,
        unobserved_s=progress.unobserved_s + _unjudged_s(gate, progress, at),
    )
    return _settle(gate, close_window(gate, after, at), at)


def left_s(gate: EvaluateGate, progress: Progress, now: datetime) -> float:
    """Return the seconds from *now* to the deadline, as it stands without another observation."""
    return (_deadline(gate, progress, isoformat(now)) - now).total_seconds()


def _gap_s(gate: EvaluateGate, progress: Progress, at: str) -> float:
    """Return by how much the time since the last good observation is longer than usual."""
    return _over_usual_s(gate, progress.observed_at or progress.began_at, at)


def _over_usual_s(gate: EvaluateGate, since: str, at: str) -> float:
    """Return by how much the time from *since* to *at* is longer than that between observations.

    Usual is a window, or a small part of a long deadline, over which observations are spread.
    """
    usual = max(gate.window, (gate.deadline_at - gate.asked_at) / OBSERVATIONS_LEAST)
    return max(0.0, (parse_instant(at) - parse_instant(since) - usual).total_seconds())


def _unjudged_s(gate: EvaluateGate, progress: Progress, at: str) -> float:
    """Return the time up to *at* in which nothing could be judged, since the last observation."""
    if not progress.candidate_interrupted:
        return _gap_s(gate, progress, at)
    since = parse_instant(progress.observed_at or progress.began_at)
    return max(0.0, (parse_instant(at) - since).total_seconds())


def _deadline(gate: EvaluateGate, progress: Progress, at: str) -> datetime:
    """Return the deadline, moved by the time in which nothing could be judged.

    A bad release must not go through because the host was away over the deadline. While the host
    is there the time is bounded, so that an unreadable surface or an instance that does not start
    ends the gate.
    """
    away = timedelta(seconds=progress.away_s)
    unjudged = timedelta(seconds=progress.unobserved_s + _unjudged_s(gate, progress, at))
    bound = extension_max(gate.asked_at, gate.deadline_at)
    return gate.deadline_at + away + max(timedelta(0), min(unjudged - away, bound))


def _settle(gate: EvaluateGate, progress: Progress, at: str) -> Progress:
    is_over = parse_instant(at) >= _deadline(gate, progress, at)
    progress = replace(progress, is_over=is_over)
    verdicts = {analysis.verdict for analysis in analyse(gate, progress, at)}
    if Verdict.FAIL in verdicts:
        first_bad_at = progress.first_bad_at or at
        return replace(progress, verdict=Verdict.FAIL, first_bad_at=first_bad_at)
    if verdicts == {Verdict.PASS}:
        return replace(progress, verdict=Verdict.PASS)
    return replace(progress, verdict=Verdict.INCONCLUSIVE) if is_over else progress
