"""The verdict of a gate: candidate against baseline, by an ordered row of small rules.

Each look adds what came since the gate began. Latency and errors are judged in windows, each by its
own samples; two bad ones in a row fail. Errors that chance cannot explain at all fail at once. Pass
needs readiness for a window, enough samples and two
whole windows; whatever is undecided at the deadline is Inconclusive.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from function_apps.health.model.significance import (
    AT_ONCE,
    SIGNIFICANCE,
    chance_of_errors,
    chance_of_ratio,
    quantile_above,
)
from shared.contracts.gates import Analysis, EvaluateGate, GateEvidence, Measure, Samples, Verdict
from shared.kernel.clock import isoformat, parse_instant
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram

P99_FROM: Final = 1000
P95_FROM: Final = 100
ERRORS_LEAST: Final = 3
BAD_WINDOWS_TO_FAIL: Final = 2
WINDOWS_TO_PASS: Final = 2
WINDOW_SAMPLES_LEAST: Final = 20
"""A window with fewer says nothing of latency: it stays open for more, but not for ever."""
WINDOW_PATIENCE: Final = 3


@dataclass(frozen=True)
class Counts:
    """Requests since some moment. `latency` maps a bucket's index to its count, zeros left out."""

    requests: int = 0
    errors: int = 0
    latency: Mapping[str, int] = field(default_factory=dict)

    def minus(self, earlier: "Counts") -> "Counts":
        latency = {
            bucket: count - earlier.latency.get(bucket, 0)
            for bucket, count in self.latency.items()
            if count != earlier.latency.get(bucket, 0)
        }
        return Counts(self.requests - earlier.requests, self.errors - earlier.errors, latency)

    def histogram(self) -> Histogram:
        counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        for bucket, count in self.latency.items():
            counts[int(bucket)] = count
        return Histogram(LATENCY_BOUNDS_MS, tuple(counts))


@dataclass(frozen=True)
class Observation:
    """One look: counters since the traffic layer's epoch, readiness, and own probes.

    `problem` says why there is nothing to rely on; then nothing else counts.
    """

    at: str
    epoch: str = ""
    candidate: Counts = Counts()
    baseline: Counts | None = None
    candidate_ready: bool = False
    baseline_ready: bool = False
    probes: int = 0
    probe_errors: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Progress:
    """What a gate remembers between looks; it travels with the orchestration."""

    began_at: str
    epoch: str = ""
    first_candidate: Counts = Counts()
    first_baseline: Counts = Counts()
    candidate: Counts = Counts()
    baseline: Counts = Counts()
    has_baseline: bool = False
    window_at: str = ""
    window_candidate: Counts = Counts()
    window_baseline: Counts = Counts()
    windows: int = 0
    bad_windows: int = 0
    bad_error_windows: int = 0
    window_probes: int = 0
    window_probe_errors: int = 0
    ready_since: str | None = None
    probes: int = 0
    probe_errors: int = 0
    first_bad_at: str | None = None
    problem: str = ""
    verdict: Verdict | None = None
    latency: Analysis | None = None


def begin(at: str) -> Progress:
    return Progress(began_at=at, window_at=at)


def look(gate: EvaluateGate, before: Progress, seen: Observation) -> Progress:
    """Return the progress after *seen*, with a verdict once there is one."""
    if before.verdict is not None:
        return before
    if seen.problem:
        return _settle(gate, replace(before, problem=seen.problem), seen)
    return _settle(gate, _close_window(gate, _add(before, seen), seen), seen)


def _add(before: Progress, seen: Observation) -> Progress:
    baseline = seen.baseline or Counts()
    if before.epoch != seen.epoch:
        # The traffic layer began to count anew, or this is the first look: what was seen so far
        # stays counted, the rest is measured from here.
        fresh = replace(
            before,
            epoch=seen.epoch,
            first_candidate=seen.candidate.minus(before.candidate),
            first_baseline=baseline.minus(before.baseline),
        )
        return _add_same_epoch(fresh, seen, baseline)
    return _add_same_epoch(before, seen, baseline)


def _add_same_epoch(before: Progress, seen: Observation, baseline: Counts) -> Progress:
    since = before.ready_since or seen.at
    return replace(
        before,
        candidate=seen.candidate.minus(before.first_candidate),
        baseline=baseline.minus(before.first_baseline),
        has_baseline=seen.baseline is not None and seen.baseline_ready,
        ready_since=since if seen.candidate_ready else None,
        probes=before.probes + seen.probes,
        probe_errors=before.probe_errors + seen.probe_errors,
        problem="",
    )


def _close_window(gate: EvaluateGate, progress: Progress, seen: Observation) -> Progress:
    elapsed = parse_instant(seen.at) - parse_instant(progress.window_at)
    if elapsed < gate.window:
        return progress
    candidate = progress.candidate.minus(progress.window_candidate)
    baseline = progress.baseline.minus(progress.window_baseline)
    enough = candidate.requests >= WINDOW_SAMPLES_LEAST
    patience = gate.window * WINDOW_PATIENCE
    if candidate.requests and not enough and elapsed < patience:
        return progress
    compared = _is_compared(gate, progress)
    latency = _latency(gate, candidate, baseline, is_compared=compared) if enough else None
    is_bad = latency is not None and latency.verdict is Verdict.FAIL
    errors = _judge_errors(
        gate, candidate, baseline if compared else None, _windowed(gate, progress)
    )
    too_many = errors is not None and errors.is_over and errors.chance < SIGNIFICANCE
    first_bad_at = progress.first_bad_at
    if (is_bad or too_many) and first_bad_at is None:
        first_bad_at = progress.window_at
    return replace(
        progress,
        window_at=seen.at,
        window_candidate=progress.candidate,
        window_baseline=progress.baseline,
        window_probes=progress.probes,
        window_probe_errors=progress.probe_errors,
        windows=progress.windows + 1,
        bad_windows=progress.bad_windows + 1 if is_bad else 0,
        bad_error_windows=progress.bad_error_windows + 1 if too_many else 0,
        first_bad_at=first_bad_at,
        latency=latency or progress.latency,
    )


def _settle(gate: EvaluateGate, progress: Progress, seen: Observation) -> Progress:
    analyses = analyse(gate, progress, seen.at)
    verdicts = {analysis.verdict for analysis in analyses}
    if Verdict.FAIL in verdicts:
        bad_at = progress.first_bad_at or seen.at
        return replace(progress, verdict=Verdict.FAIL, first_bad_at=bad_at)
    if progress.windows >= WINDOWS_TO_PASS and verdicts == {Verdict.PASS}:
        return replace(progress, verdict=Verdict.PASS)
    if parse_instant(seen.at) >= gate.deadline_at:
        return replace(progress, verdict=Verdict.INCONCLUSIVE)
    return progress


Rule = Callable[[EvaluateGate, Progress, str], Analysis | None]


def analyse(gate: EvaluateGate, progress: Progress, at: str) -> tuple[Analysis, ...]:
    """Return what each rule says of the samples so far; the order is that of their weight."""
    found = [rule(gate, progress, at) for rule in RULES]
    return tuple(each for each in found if each is not None)


def _readability(_gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    if not progress.problem:
        return None
    return Analysis(
        measure=Measure.SAMPLES,
        verdict=Verdict.INCONCLUSIVE,
        unit="count",
        reason=f"the surface could not be read: {progress.problem}"[:256],
    )


def _readiness(gate: EvaluateGate, progress: Progress, at: str) -> Analysis | None:
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


def _enough(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    counted = progress.candidate.requests + (progress.probes if gate.probes_count else 0)
    passes = counted >= gate.min_samples
    return Analysis(
        measure=Measure.SAMPLES,
        verdict=Verdict.PASS if passes else Verdict.INCONCLUSIVE,
        value=float(counted),
        threshold=float(gate.min_samples),
        unit="count",
        reason=f"{counted} of {gate.min_samples} samples",
    )


@dataclass(frozen=True)
class _Errors:
    """All errors so far against their limit, and how likely chance alone gives so many."""

    errors: int
    requests: int
    limit: float
    baseline: float | None
    chance: float

    @property
    def is_over(self) -> bool:
        return self.errors >= ERRORS_LEAST and self.errors / self.requests > self.limit


def _judge_errors(
    gate: EvaluateGate, candidate: Counts, baseline: Counts | None, probes: tuple[int, int]
) -> _Errors | None:
    """Compare with *baseline* where there is one, else with the absolute limit.

    *probes* are those sent and those failed; they count where there is no baseline.
    """
    if baseline is not None and baseline.requests and candidate.requests:
        was = baseline.errors / baseline.requests
        chance = chance_of_errors(
            candidate.errors, candidate.requests, baseline.errors, baseline.requests
        )
        limit = was + gate.limits.error_ratio_increase_max
        return _Errors(candidate.errors, candidate.requests, limit, was, chance)
    requests, errors = candidate.requests + probes[0], candidate.errors + probes[1]
    if not requests:
        return None
    limit = gate.limits.error_ratio_max
    return _Errors(errors, requests, limit, None, chance_of_ratio(errors, requests, limit))


def _windowed(gate: EvaluateGate, progress: Progress) -> tuple[int, int]:
    """Return the probes of the window that is open, sent and failed."""
    if not gate.probes_count:
        return 0, 0
    return (
        progress.probes - progress.window_probes,
        progress.probe_errors - progress.window_probe_errors,
    )


def _errors(gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    baseline = progress.baseline if _is_compared(gate, progress) else None
    probes = (progress.probes, progress.probe_errors) if gate.probes_count else (0, 0)
    found = _judge_errors(gate, progress.candidate, baseline, probes)
    if found is None:
        return None
    at_once = found.is_over and found.chance < AT_ONCE
    verdict = Verdict.PASS
    if at_once or progress.bad_error_windows >= BAD_WINDOWS_TO_FAIL:
        verdict = Verdict.FAIL
    elif progress.bad_error_windows:
        verdict = Verdict.INCONCLUSIVE
    return Analysis(
        measure=Measure.ERROR_RATIO,
        verdict=verdict,
        value=round(found.errors / found.requests, 5),
        baseline=None if found.baseline is None else round(found.baseline, 5),
        threshold=round(found.limit, 5),
        unit="ratio",
        reason=f"{found.errors} errors of {found.requests}"
        + ("" if found.baseline is not None else ", absolute limit: no healthy baseline"),
    )


def _latency_so_far(_gate: EvaluateGate, progress: Progress, _at: str) -> Analysis | None:
    """Return what the windows say: one bad window is not yet a verdict, two in a row are."""
    latest = progress.latency
    if latest is None:
        return None
    if progress.bad_windows >= BAD_WINDOWS_TO_FAIL:
        return latest
    verdict = Verdict.INCONCLUSIVE if progress.bad_windows else Verdict.PASS
    return latest.model_copy(update={"verdict": verdict})


RULES: Final[tuple[Rule, ...]] = (_readability, _readiness, _errors, _latency_so_far, _enough)


def _latency(
    gate: EvaluateGate, candidate: Counts, baseline: Counts, *, is_compared: bool
) -> Analysis | None:
    """Return the verdict of one window; None without requests."""
    if not candidate.requests:
        return None
    histogram = candidate.histogram()
    is_compared = is_compared and baseline.requests >= WINDOW_SAMPLES_LEAST
    fewest = min(candidate.requests, baseline.requests) if is_compared else candidate.requests
    fraction = 0.99 if fewest >= P99_FROM else 0.95 if fewest >= P95_FROM else 0.5
    if not is_compared:
        # The absolute limit is one of p95, however few samples there are.
        fraction = 0.95
    value = histogram.quantile_ms(fraction)
    was = baseline.histogram().quantile_ms(fraction) if is_compared else None
    limit = gate.limits.p95_ms_max
    if was is not None:
        relative = was * (1.0 + gate.limits.latency_increase_ratio_max)
        limit = max(relative, was + gate.limits.latency_increase_ms_max)
    if value is None or math.isnan(value) or math.isnan(limit):
        return None
    slower = round(_above(histogram, limit))
    fails = value > limit and quantile_above(slower, candidate.requests, fraction)
    return Analysis(
        measure=Measure.LATENCY,
        verdict=Verdict.FAIL if fails else Verdict.PASS,
        value=round(value, 1),
        baseline=None if was is None else round(was, 1),
        threshold=round(limit, 1),
        unit="ms",
        reason=f"p{fraction * 100:g} of {candidate.requests} requests in one window",
    )


def _above(histogram: Histogram, limit_ms: float) -> float:
    """Return how many requests took longer than *limit_ms*, linear inside its bucket."""
    above, low = 0.0, 0.0
    for high, count in zip(histogram.bounds_ms, histogram.counts[:-1], strict=True):
        if low >= limit_ms:
            above += count
        elif high > limit_ms:
            above += count * (high - limit_ms) / (high - low)
        low = high
    return above + histogram.counts[-1]


def _is_compared(gate: EvaluateGate, progress: Progress) -> bool:
    """Return whether there is a baseline to compare with: present, ready, within the limits."""
    baseline = progress.baseline
    if gate.baseline is None or not progress.has_baseline or not baseline.requests:
        return False
    return baseline.errors / baseline.requests <= gate.limits.error_ratio_max


def evidence(gate: EvaluateGate, progress: Progress, now: datetime) -> GateEvidence:
    """Return everything the verdict rests on."""
    at = isoformat(now)
    compared = _is_compared(gate, progress)
    return GateEvidence(
        gate_id=gate.gate_id,
        module_id=gate.module_id,
        step=gate.step,
        weight=gate.weight,
        verdict=progress.verdict or Verdict.INCONCLUSIVE,
        candidate_revision=gate.candidate.release_revision,
        baseline_revision=gate.baseline.release_revision if gate.baseline else None,
        absolute_only=not compared,
        analyses=analyse(gate, progress, at),
        candidate=_samples(progress.candidate, progress.probes),
        baseline=_samples(progress.baseline, 0) if gate.baseline else None,
        first_bad_at=parse_instant(progress.first_bad_at) if progress.first_bad_at else None,
        from_at=parse_instant(progress.began_at),
        until_at=now,
    )


def _samples(counts: Counts, probes: int) -> Samples:
    histogram = counts.histogram()
    p50, p95, p99 = (histogram.quantile_ms(each) for each in (0.5, 0.95, 0.99))
    return Samples(
        requests=counts.requests,
        errors=counts.errors,
        probes=probes,
        p50_ms=None if p50 is None else round(p50, 1),
        p95_ms=None if p95 is None else round(p95, 1),
        p99_ms=None if p99 is None else round(p99, 1),
    )


def gate_document(gate_id: str) -> str:
    return f"gate/{gate_id}"


def gate_body(gate: EvaluateGate, operation_id: str) -> dict[str, Any]:
    """Return the row of a gate that is being evaluated."""
    return {
        "type": "gate",
        "gate": gate.model_dump(mode="json", by_alias=True),
        "operation_id": operation_id,
        "revision": 1,
        "verdict": None,
        "evidence": None,
    }


def decided(body: Mapping[str, Any], found: GateEvidence) -> dict[str, Any]:
    """Return the row with its verdict; a gate is decided once."""
    return {
        **body,
        "revision": int(body["revision"]) + 1,
        "verdict": found.verdict,
        "evidence": found.model_dump(mode="json", by_alias=True),
    }
