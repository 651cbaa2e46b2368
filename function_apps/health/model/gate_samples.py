"""The samples of a gate: requests of two versions and probes, in all and in the open window.

The counters of the traffic layer started before the gate, which adds up their differences.

An interruption is a time in which the platform stopped a version, or in which nobody observed it:
the traffic layer began anew, the host was away, or the surface resumes its instances. What fails
from then on until the version has been ready once is no evidence, and is not counted.
"""

from collections.abc import Mapping
from dataclasses import field, replace

from shared.contracts.gates import Analysis, Unmeasured, Verdict
from shared.kernel.dataclass import dataclass
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
class BurnRates:
    """Of the service, over both windows; None where one has too few samples."""

    long: float | None = None
    short: float | None = None

    def is_over(self, limit: float) -> bool:
        """Return whether both windows burn faster than *limit*; a tie is not over."""
        is_short = self.short is not None and self.short > limit
        return is_short and self.long is not None and self.long > limit


@dataclass(frozen=True)
class Observation:
    """One reading of the surface: counters since the traffic layer's epoch, readiness, own probes.

    Counts are None for a version without counters. The epoch is empty where there is no traffic
    layer. A version is resuming while its surface starts instances again that it had stopped.
    `problem` says why the reading failed; the other fields mean nothing then.
    Where a provider measures, `measured_at` is up to when it has, its name is the epoch, and the
    counts are what it has measured of the gate; `unmeasured` is what it was asked for in vain.
    """

    at: str
    epoch: str = ""
    candidate: Counts | None = None
    baseline: Counts | None = None
    candidate_ready: bool = False
    baseline_ready: bool = False
    candidate_resuming: bool = False
    baseline_resuming: bool = False
    probes: int = 0
    probe_errors: int = 0
    problem: str = ""
    measured_at: str | None = None
    unmeasured: tuple[Unmeasured, ...] = ()
    burn: BurnRates | None = None
    """Of the service, over an hour and five minutes; None without an objective."""


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
    """The number of good, or bad, windows in a row; a window without samples is neither."""

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

    `latency` is the analysis of the last window that had requests enough for one, `looked_at` the
    time of the last observation, `observed_at` of the last one without a problem. `unobserved_s`
    adds up the time in which nothing could be judged: the surface was unreadable, the candidate was
    interrupted, or the host was away; `away_s` is the last of these alone.
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
    looked_at: str | None = None
    away_s: float = 0.0
    candidate_interrupted: bool = False
    """It has not been ready since an interruption."""
    baseline_interrupted: bool = False
    is_over: bool = False
    """The deadline has passed."""
    measured_at: str | None = None
    """The beginning of a provider's next window: the end of the last one, or of a gap in it.

    None before either, and where the surface counts.
    """
    unmeasured: tuple[Unmeasured, ...] = ()
    """The figures that it was last asked for in vain."""
    burn: BurnRates | None = None
    burn_before: BurnRates | None = None
    """As it was at the first observation."""


def record_samples(progress: Progress, observation: Observation, *, has_gap: bool) -> Progress:
    """Return *progress* with the samples since the last observation.

    The first observation of a traffic layer only marks where its counters stand, and so does the
    one in which a version is ready again: requests since the last one may have met it unready.
    *has_gap*: nobody observed for longer than usual.
    """
    last, epoch = progress.last, observation.epoch
    is_restart = bool(last.epoch) and last.epoch != epoch
    is_marked = bool(epoch) and last.epoch != epoch
    if is_marked:
        last = TrafficCounters(epoch)
    is_new = is_restart or has_gap
    candidate_interrupted = not observation.candidate_ready and (
        progress.candidate_interrupted or is_new or observation.candidate_resuming
    )
    baseline_interrupted = not observation.baseline_ready and (
        progress.baseline_interrupted or is_new or observation.baseline_resuming
    )
    skips_candidate = is_marked or progress.candidate_interrupted or candidate_interrupted
    skips_baseline = is_marked or progress.baseline_interrupted or baseline_interrupted
    more = Span(
        Counts() if skips_candidate else _increase(last.candidate, observation.candidate),
        Counts() if skips_baseline else _increase(last.baseline, observation.baseline),
        0 if candidate_interrupted else observation.probes,
        0 if candidate_interrupted else observation.probe_errors,
    )
    return replace(
        progress,
        last=TrafficCounters(
            last.epoch,
            last.candidate if observation.candidate is None else observation.candidate,
            last.baseline if observation.baseline is None else observation.baseline,
        ),
        total=progress.total.plus(more),
        window=progress.window.plus(more),
        candidate_interrupted=candidate_interrupted,
        baseline_interrupted=baseline_interrupted,
        has_baseline=observation.baseline is not None and observation.baseline_ready,
        ready_since=(
            progress.ready_since or observation.at if observation.candidate_ready else None
        ),
        problem="",
        measured_at=observation.measured_at,
        unmeasured=observation.unmeasured,
        burn=observation.burn,
        burn_before=progress.burn_before or observation.burn,
    )


def record_gap(progress: Progress, problem: str) -> Progress:
    """Return *progress* after an observation that failed; readiness has to last anew."""
    return replace(progress, problem=problem, ready_since=None)


def _increase(last: Counts, counts: Counts | None) -> Counts:
    if counts is None:
        return Counts()
    has_restarted = counts.requests < last.requests
    return counts if has_restarted else counts.minus(last)
