"""Scan the planes of an environment itself, beside its services."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from function_apps.drift.model import infrastructure, tenancy
from function_apps.drift.model.environment_scan import EnvironmentScan, PartRecord
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.plane_scan import (
    PlaneReading,
    PlaneScan,
    judge_of_plane,
    scan_plane,
    seen_of_plane,
)
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import FINDINGS, FINDINGS_A_BATCH, SCANS
from function_apps.drift.use_cases.commit_findings import findings_decision
from function_apps.drift.use_cases.read_configuration import read_configuration
from shared.contracts.drift import Plane, PlaneCoverage
from shared.contracts.environments import ComputeTarget
from shared.contracts.values import ComputeTargetKind
from shared.kernel.concurrency import bounded_map
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading, Unknown
from shared.messaging.unit_of_work import Decision, View
from shared.persistence.store import Partition
from shared.surfaces.boundaries import Boundary
from shared.surfaces.observed_state import Site

T = TypeVar("T")
Judge = Callable[[Finding | None, str], Finding | None]
"""Returns what becomes of a finding, as it is stored; None without news."""
SURFACES_AT_ONCE: Final = 5
"""Each kind is in an environment once."""


@dataclass(frozen=True)
class PlanesResult:
    """The planes that a scan was ordered for, and all findings after it."""

    coverage: Mapping[Plane, PlaneCoverage]
    parts: Mapping[Plane, Mapping[str, PartRecord]]
    findings: Sequence[Finding]
    ended_adoptions: Collection[str] = ()


async def scan_planes(
    scan: EnvironmentScan,
    findings: Mapping[str, Finding],
    partition: Partition,
    ctx: Context,
    app: DriftApp,
) -> PlanesResult:
    """Compare the environment itself, and commit its *findings*; what cannot be read is left."""
    coverage, parts, after = {}, {}, dict(findings)
    ended: Collection[str] = ()
    for reading in await _readings(scan, ctx, app):
        plane, now = reading.plane, ctx.now()
        known = {name: each for name, each in findings.items() if each.plane is plane}
        recorded, rules = scan.parts.get(plane, {}), app.rules.detection
        found = scan_plane(reading, recorded, known.values(), now, rules)
        after |= await _judge(found, scan, known, partition, ctx, app)
        coverage[plane], parts[plane] = found.coverage, found.records
        if plane is Plane.CONFIGURATION:
            ended = scan.adopted.keys() - reading.adopted
    return PlanesResult(coverage, parts, tuple(after.values()), ended)


async def _readings(scan: EnvironmentScan, ctx: Context, app: DriftApp) -> list[PlaneReading]:
    """Return the planes that the scan was ordered for, as they are; all of one that has ended."""
    read = {
        Plane.INFRASTRUCTURE: _infrastructure,
        Plane.TENANCY: _tenancy,
        Plane.CONFIGURATION: read_configuration,
    }
    asked = scan.planes if scan.ended_at is None else ()
    return [
        await reading(scan, ctx, app)
        for plane, reading in read.items()
        if not asked or plane in asked
    ]


async def _infrastructure(scan: EnvironmentScan, ctx: Context, app: DriftApp) -> PlaneReading:
    content, environment = scan.content, EnvironmentId(scan.environment_id)

    async def look(target: ComputeTarget) -> Reading[Site]:
        reader = app.sites.get(target.kind)
        return await reader.read_site(environment) if reader else _not_configured(target)

    targets = [] if infrastructure.why_not_judged(content, ctx.tenant) else content.targets
    looks = await _looks(targets, look)
    return infrastructure.infrastructure_reading(content, ctx.tenant, looks)


async def _tenancy(scan: EnvironmentScan, ctx: Context, app: DriftApp) -> PlaneReading:
    content, environment = scan.content, EnvironmentId(scan.environment_id)

    async def look(target: ComputeTarget) -> Reading[Boundary]:
        reader = app.boundaries.get(target.kind)
        if reader is None:
            return _not_configured(target)
        return await reader.read_boundary(environment, ctx.tenant)

    targets = [] if tenancy.why_not_judged(content) else tenancy.bounded_targets(content)
    return tenancy.tenancy_reading(content, await _looks(targets, look))


async def _looks(
    targets: Sequence[ComputeTarget], look: Callable[[ComputeTarget], Awaitable[T]]
) -> Mapping[ComputeTargetKind, T]:
    looks = await bounded_map(targets, look, at_once=SURFACES_AT_ONCE)
    return {target.kind: reading for target, reading in zip(targets, looks, strict=True)}


def _not_configured(target: ComputeTarget) -> Unknown:
    return Unknown(f"no {target.kind} is configured")


async def _judge(
    found: PlaneScan,
    scan: EnvironmentScan,
    known: Mapping[str, Finding],
    partition: Partition,
    ctx: Context,
    app: DriftApp,
) -> Mapping[str, Finding]:
    """Commit what becomes of the findings of a plane; return those with news, as stored then."""
    now, rules = ctx.now(), app.rules.detection
    seen = dict(seen_of_plane(found, scan, ctx.tenant, app.remediation, now))

    def judged(stored: Finding | None, finding_id: str) -> Finding | None:
        return judge_of_plane(stored, seen.get(finding_id), found, now, rules)

    judgements = {each: judged(known.get(each), each) for each in sorted({*seen, *known})}
    news = [each for each, after in judgements.items() if after is not None]
    current: dict[str, Finding] = {}
    for first in range(0, len(news), FINDINGS_A_BATCH):
        page = news[first : first + FINDINGS_A_BATCH]
        current |= await _commit(page, judged, scan, partition, ctx, app)
    return current


async def _commit(
    page: Sequence[str],
    judged: Judge,
    scan: EnvironmentScan,
    partition: Partition,
    ctx: Context,
    app: DriftApp,
) -> Mapping[str, Finding]:
    """Commit what becomes of one page of findings, unless the environment is to be another now.

    Return them as they are then; none where it is.
    """

    def decide(view: View) -> Decision[Mapping[str, Finding]]:
        stored = view.find(SCANS, scan.environment_id)
        is_as_read = stored is not None and (
            (stored.content, stored.adopted) == (scan.content, scan.adopted)
        )
        if not is_as_read:
            return Decision({})
        findings = {each: view.find(FINDINGS, each) for each in page}
        changed = {each: judged(findings[each], each) for each in page}
        return findings_decision(changed, findings, (), ctx, app)

    reads = [SCANS.document_id(scan.environment_id), *page]
    outcome = await app.service.work.commit(ctx.without_marker(), partition, reads, decide)
    return outcome.value
