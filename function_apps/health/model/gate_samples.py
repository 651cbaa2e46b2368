"""What a gate counts: requests of two versions and probes, in all and in the window that is open.

The traffic layer's counters go on from before the gate, and begin again when it restarts; a gate
adds up the differences, so neither shows in what it has counted.
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
    """One look: counters since the traffic layer's epoch, readiness, and own probes.

    Counts are None for a version that the traffic layer shows no counters of. An empty `epoch` says
    that there is no traffic layer. `problem` says why there is nothing to rely on; then nothing
    else counts.
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
    """What was counted over some time."""

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
class Progress:
    """What a gate remembers between looks; it travels with the orchestration.

    `shown_…` are the counters as they last stood, `latency` is the analysis of the last window that
    had requests enough for one.
    """

    began_at: str
    window_at: str
    epoch: str = ""
    shown_candidate: Counts = field(default_factory=Counts)
    shown_baseline: Counts = field(default_factory=Counts)
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
    looked_at: str | None = None
    """Of the last look that saw something."""
    blind_s: float = 0.0
    """How long the gate was without a look: the surface unreadable, or nobody there to look."""


def add(before: Progress, seen: Observation) -> Progress:
    """Return *before* with what came since the last look.

    The first look with a traffic layer only marks where its counters stand.
    """
    is_first = bool(seen.epoch) and not before.epoch
    is_anew = bool(before.epoch) and before.epoch != seen.epoch
    more = Span(
        Counts() if is_first else _since(before.shown_candidate, seen.candidate, anew=is_anew),
        Counts() if is_first else _since(before.shown_baseline, seen.baseline, anew=is_anew),
        seen.probes,
        seen.probe_errors,
    )
    since = before.ready_since or seen.at
    return replace(
        before,
        epoch=seen.epoch or before.epoch,
        shown_candidate=before.shown_candidate if seen.candidate is None else seen.candidate,
        shown_baseline=before.shown_baseline if seen.baseline is None else seen.baseline,
        total=before.total.plus(more),
        window=before.window.plus(more),
        has_baseline=seen.baseline is not None and seen.baseline_ready,
        ready_since=since if seen.candidate_ready else None,
        problem="",
    )


def unseen(before: Progress, problem: str) -> Progress:
    """Return *before* after a look that saw nothing: readiness must be seen to last."""
    return replace(before, problem=problem, ready_since=None)


def _since(shown: Counts, now: Counts | None, *, anew: bool) -> Counts:
    if now is None:
        return Counts()
    return now if anew or now.requests < shown.requests else now.minus(shown)
