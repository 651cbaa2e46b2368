"""Scan services by themselves: after a release, and after work of the platform."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.git_comparison import DesiredByGit
from function_apps.drift.model.live_service import ServiceReading
from function_apps.drift.model.service_scan import ServiceScan
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import BASELINES, SCANS, active_findings, desired_by_git
from function_apps.drift.use_cases.judge_service import judge_service
from function_apps.drift.use_cases.read_service import read_service
from shared.contracts.values import Reason, TenantId
from shared.kernel.context import Context, timer_context
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Present, Unknown
from shared.messaging.sweep import Sweep
from shared.persistence.store import Document

COMPARE: Final = "compare_due"
UNREAD: Final = "ServiceUnread"


async def scan_due_services(app: DriftApp) -> int:
    """Scan every service that is due by itself; return how many there were."""
    service = app.service

    async def scan(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"drift_{COMPARE}", tenant, service.clock, service.entropy)
        await _scan_due(document, ctx, app)

    sweep = Sweep(COMPARE, BASELINES.type_name, service.store, service.clock, service.sweeps)
    return await sweep.run(scan)


async def _scan_due(document: Document, ctx: Context, app: DriftApp) -> None:
    """Scan the service of *document*.

    Raises:
        Unavailable: it cannot be read, so it is tried again later.
    """
    baseline = BASELINES.decode(document.body)
    stored = await app.service.work.find(SCANS, baseline.environment_id, ctx.tenant)
    # An order of some planes is for the scan of the environment.
    scan = replace(stored or EnvironmentScan(baseline.environment_id), planes=())
    found = await active_findings(document.partition, app)
    findings = {finding.finding_id: finding for finding in found}
    is_mass_absence = scan.is_mass_absence and baseline.service_id in scan.absent
    git = await desired_by_git(scan, ctx, app)
    reason = await scan_service(
        baseline, scan, findings, ctx, app, git=git, is_mass_absence=is_mass_absence
    )
    if reason is not None and reason.code == UNREAD:
        raise Unavailable(f"{baseline.module_id} cannot be read: {reason.message}")


async def scan_service(
    baseline: ServiceBaseline,
    scan: EnvironmentScan,
    findings: Mapping[str, Finding],
    ctx: Context,
    app: DriftApp,
    *,
    git: DesiredByGit | None,
    is_mass_absence: bool,
    may_be_there: bool = True,
) -> Reason | None:
    """Read and judge one service; return why it could not be judged, if so.

    No surface is asked about one that cannot be there, nor where the environment has ended.
    """
    reading: Present[ServiceReading] | Unknown = Present(ServiceReading())
    if may_be_there and scan.ended_at is None:
        reading = await read_service(baseline, app)
    if isinstance(reading, Unknown):
        return Reason(code=UNREAD, message=reading.reason[:500])
    judged = ServiceScan(baseline, scan, findings, reading.value, git, is_mass_absence)
    return await judge_service(judged, ctx, app)
