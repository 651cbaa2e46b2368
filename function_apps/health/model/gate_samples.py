"""The samples of a gate: requests of two versions and probes, in all and in the open window.

The counters of the traffic layer started before the gate and start anew when that layer restarts.
A gate adds up their differences, so neither changes its counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contracts.gates import Analysis, Verdict
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram


@dataclass(frozen=True)
class Counts:
    """Requests of one version. `latency` maps a bucket's index to its count, zeros left out."""

    requests: int = 0
    errors: int = 0
    latency: Mapping[str, int] = field(default_factory=dict)

    def plus(self, more: "Counts") -> "Counts":
        latency = dict(self.latency)
        for bucket, count in more.latency.items():
            latency[bucket] = latency.get(bucket, 0) + count
        return Counts(self.requests + more.requests, self.errors + more.errors, latency)

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
    """One reading of the surface: counters since the traffic layer's epoch, readiness, own probes.

    Counts are None for a version without counters. The epoch is empty where there is no traffic
    layer. `problem` says why the reading failed; the other fields mean nothing then.
    """

    at: str
    epoch: str = ""
    candidate: Counts | None = None
    baseline: Counts | None = None
    candidate_ready: bool = False
    baseline_ready: bool = False
    probes: int = 0
    probe_errors: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Span:
    """The samples of some stretch of time."""

    candidate: Counts = field(default_factory=Counts)
    baseline: Counts = field(default_factory=Counts)
    probes: int = 0
    probe_errors: int = 0

    def plus(self, more: "Span") -> "Span":
        return Span(
            self.candidate.plus(more.candidate),
            self.baseline.plus(more.baseline),
            self.probes + more.probes,
            self.probe_errors + more.probe_errors,
        )


@dataclass(frozen=True)
class Streak:
    """How many windows in a row were good, or bad; a window without samples is neither."""

    good: int = 0
    bad: int = 0

    def plus(self, *, is_bad: bool) -> "Streak":
        return Streak(bad=self.bad + 1) if is_bad else Streak(good=self.good + 1)


@dataclass(frozen=True)
class TrafficCounters:
    """The counters of the traffic layer at their last reading; without an epoch, there was none."""

    epoch: str = ""
    candidate: Counts = field(default_factory=Counts)
    baseline: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Progress:
    """The state of a gate between two observations; it travels with the orchestration.

    `latency` is the analysis of the last window that had requests enough for one, `observed_at` the
    time of the last observation without a problem. `unobserved_s` adds up the time without any:
    the surface was unreadable, or the host was away.
    """

    began_at: str
    window_at: str
    last: TrafficCounters = field(default_factory=TrafficCounters)
    total: Span = field(default_factory=Span)
    window: Span = field(default_factory=Span)
    has_baseline: bool = False
    latency_windows: Streak = field(default_factory=Streak)
    error_windows: Streak = field(default_factory=Streak)
    ready_since: str | None = None
    first_bad_at: str | None = None
    problem: str = ""
    verdict: Verdict | None = None
    latency: Analysis | None = None
    observed_at: str | None = None
    unobserved_s: float = 0.0


def record_samples(progress: Progress, observation: Observation) -> Progress:
    """Return *progress* with the samples since the last observation.

    The first observation of a traffic layer only marks where its counters stand.
    """
    last, epoch = progress.last, observation.epoch
    is_first = bool(epoch) and not last.epoch
    is_restart = bool(last.epoch) and last.epoch != epoch
    more = Span(
        Counts()
        if is_first
        else _increase(last.candidate, observation.candidate, is_restart=is_restart),
        Counts()
        if is_first
        else _increase(last.baseline, observation.baseline, is_restart=is_restart),
        observation.probes,
        observation.probe_errors,
    )
    return replace(
        progress,
        last=TrafficCounters(
            epoch or last.epoch,
            last.candidate if observation.candidate is None else observation.candidate,
            last.baseline if observation.baseline is None else observation.baseline,
        ),
        total=progress.total.plus(more),
        window=progress.window.plus(more),
        has_baseline=observation.baseline is not None and observation.baseline_ready,
        ready_since=(
            progress.ready_since or observation.at if observation.candidate_ready else None
        ),
        problem="",
    )


def record_gap(progress: Progress, problem: str) -> Progress:
    """Return *progress* after an observation that failed; readiness has to last anew."""
    return replace(progress, problem=problem, ready_since=None)


def _increase(last: Counts, counts: Counts | None, *, is_restart: bool) -> Counts:
    if counts is None:
        return Counts()
    has_restarted = is_restart or counts.requests < last.requests
    return counts if has_restarted else counts.minus(last)
