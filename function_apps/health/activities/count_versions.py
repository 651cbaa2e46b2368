"""Requests, errors and latency of both versions of a gate, from where the gate says."""

from dataclasses import replace

from function_apps.health.model.gate_samples import Counts, Progress
from function_apps.health.model.measured_windows import (
    VersionCounts,
    covered_since,
    due_window,
    window_counts,
    window_queries,
)
from function_apps.health.ports import HealthApp
from shared.composition.parts import PartNotSupported
from shared.contracts.gate_metrics import GateMetrics
from shared.contracts.gates import EvaluateGate, Unmeasured
from shared.contracts.metrics import Metric
from shared.kernel.clock import isoformat
from shared.kernel.observation import Present, Unknown
from shared.metrics.port import Subject
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import RevisionTraffic


async def count_versions(
    gate: EvaluateGate, progress: Progress, component: SurfaceComponent, app: HealthApp
) -> VersionCounts:
    """Return what is counted of both versions; Unknown is a problem or something unmeasured."""
    if gate.metrics is None or gate.metrics.is_counted:
        return await _counted(gate, component, app)
    return await _measured(gate, gate.metrics, progress, component, app)


async def _counted(
    gate: EvaluateGate, component: SurfaceComponent, app: HealthApp
) -> VersionCounts:
    """Read the counters of the surface's proxy, as they stand."""
    traffic = await app.surface.traffic(component)
    if isinstance(traffic, Unknown):
        return VersionCounts(problem=traffic.reason)
    if not isinstance(traffic, Present):
        return VersionCounts()
    revisions = traffic.value.revisions
    return VersionCounts(
        epoch=traffic.value.epoch,
        candidate=_counts(revisions.get(gate.candidate.release_revision)),
        baseline=_counts(revisions.get(gate.baseline.release_revision)) if gate.baseline else None,
    )


async def _measured(
    gate: EvaluateGate,
    metrics: GateMetrics,
    progress: Progress,
    component: SurfaceComponent,
    app: HealthApp,
) -> VersionCounts:
    """Ask the provider for the next window of both versions, once it is over."""
    last = VersionCounts(
        epoch=metrics.source,
        candidate=progress.last.candidate,
        baseline=progress.last.baseline if gate.baseline else None,
        measured_at=progress.measured_at,
        unmeasured=progress.unmeasured,
    )
    versions = [each.release_revision for each in (gate.candidate, gate.baseline) if each]
    try:
        provider = app.metrics(metrics.measured_by)
    except PartNotSupported as problem:
        nothing = Unmeasured(
            source=metrics.measured_by, metric=Metric.REQUESTS, revision=versions[0],
            query=metrics.requests or "", cause=problem.message[:500],
        )  # fmt: skip
        return replace(last, unmeasured=(nothing,))
    window = due_window(gate, progress, app.service.clock.now(), provider.resolution)
    if window is None:
        return last
    asked = [
        (revision, window_queries(metrics, Subject(component, revision), *window))
        for revision in versions
    ]
    measured = await provider.measure([query for _, queries in asked for query in queries.values()])
    answers = iter(measured)
    counted = [
        window_counts(metrics, revision, {metric: next(answers) for metric in queries})
        for revision, queries in asked
    ]
    unmeasured = [each for counts in counted if isinstance(counts, tuple) for each in counts]
    if unmeasured:
        since = covered_since(measured)
        return replace(
            last,
            measured_at=isoformat(since) if since else last.measured_at,
            unmeasured=tuple(unmeasured),
        )
    candidate, *baseline = [counts for counts in counted if isinstance(counts, Counts)]
    return replace(
        last,
        candidate=progress.last.candidate.plus(candidate),
        baseline=progress.last.baseline.plus(baseline[0]) if baseline else None,
        measured_at=isoformat(window[1]),
        unmeasured=(),
    )


def _counts(traffic: RevisionTraffic | None) -> Counts | None:
    if traffic is None:
        return None
    latency = {str(bucket): count for bucket, count in enumerate(traffic.latency.counts) if count}
    return Counts(traffic.requests, traffic.errors, latency)
