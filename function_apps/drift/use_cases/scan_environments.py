"""Scan environments: compare all their services with what their surfaces show.

A service that cannot be read or committed stops none of the others, and an environment none of the
others: it is postponed and shown in the app's health.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from function_apps.drift.events import alert_event
from function_apps.drift.model.alert import judge_alert
from function_apps.drift.model.baseline import ServiceBaseline, new_baseline
from function_apps.drift.model.coverage import coverage_of
from function_apps.drift.model.environment_scan import (
    EnvironmentScan,
    ScanResult,
    are_too_many_absent,
    record_scan,
)
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.git_comparison import DesiredByGit
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import (
    BASELINES,
    SCANS,
    active_findings,
    compared_services,
    desired_by_git,
)
from function_apps.drift.use_cases.alert_findings import alarming_ids, as_stored
from function_apps.drift.use_cases.scan_planes import scan_planes
from function_apps.drift.use_cases.scan_services import scan_service
from shared.contracts.values import EnvironmentId, ModuleId, Reason, TenantId
from shared.kernel.concurrency import Failure, bounded_map
from shared.kernel.context import Context, timer_context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import ServiceId, module_key, parse_id, service_id
from shared.kernel.observation import Present, Unknown
from shared.messaging.outbox import Audited
from shared.messaging.sweep import LATE, Sweep
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Document, Partition, Prefix, partition_of
from shared.surfaces.observed_state import Inventory

SCAN: Final = "scan_due"
SERVICES_AT_ONCE: Final = 16


async def scan_due_environments(app: DriftApp) -> int:
    """Scan every environment that is due; return how many there were."""
    service = app.service

    async def scan(document: Document) -> None:
        tenant = TenantId(document.partition.tenant)
        ctx = timer_context(f"drift_{SCAN}", tenant, service.clock, service.entropy)
        await scan_environment(SCANS.decode(document.body), document.partition, ctx, app)

    sweep = Sweep(SCAN, SCANS.type_name, service.store, service.clock, service.sweeps)
    return await sweep.run(scan)


async def scan_environment(
    scan: EnvironmentScan, partition: Partition, ctx: Context, app: DriftApp
) -> None:
    """Compare an environment and its services; what cannot be read changes nothing.

    Of one that has ended only its own findings end, and those of services that were never there
    or not any more: its others are retired by the inventory.
    """
    findings = await _by_service(partition, app)
    services = _ServicesResult()
    if scan.ended_at is None:
        services = await _read_services(scan, findings, partition, ctx, app)
    else:
        await _end_unknown_services(scan, findings, ctx, app)
    planes = await scan_planes(scan, findings[None], partition, ctx, app)
    coverage = coverage_of(services.seen, services.unread, scan.planes, planes.coverage)
    result = ScanResult(
        coverage, services.absent, services.is_mass_absence, planes.parts, planes.ended_adoptions
    )

    def decide(view: View) -> Decision[Json]:
        stored = view.find(SCANS, scan.environment_id)
        if stored is None:
            return NOTHING
        after = record_scan(stored, scan, result, ctx.now(), app.rules.detection.scan)
        change = judge_alert(stored.alert, as_stored(planes.findings, view), ctx.now())
        if change is None:
            return Decision({}, writes=[SCANS.put(after)])
        known = replace(after, alert=after.alert.after(change))
        told, audited = alert_event(known, change), Audited("JudgeAlert", scan.environment_id)
        return Decision({}, writes=[SCANS.put(known)], outbox=[told], audited=audited)

    work, also = app.service.work, alarming_ids(planes.findings)
    await work.change(ctx.without_marker(), SCANS, scan.environment_id, decide, also=also)


@dataclass(frozen=True)
class _ServicesResult:
    """The number of services that were judged, why others were not, and which are absent.

    `absent` is None where the environment could not be read.
    """

    seen: int = 0
    unread: Sequence[Reason] = field(default=())
    absent: tuple[str, ...] | None = None
    is_mass_absence: bool = False


async def _read_services(
    scan: EnvironmentScan,
    findings: Mapping[str | None, dict[str, Finding]],
    partition: Partition,
    ctx: Context,
    app: DriftApp,
) -> _ServicesResult:
    reading = await app.surface.inventory(EnvironmentId(scan.environment_id))
    if isinstance(reading, Unknown):
        reason = Reason(code="EnvironmentUnread", message=reading.reason[:500])
        return _ServicesResult(unread=[reason])
    inventory = reading.value if isinstance(reading, Present) else Inventory(())
    return await _scan_services(scan, inventory, findings, partition, ctx, app)


async def _scan_services(
    scan: EnvironmentScan,
    inventory: Inventory,
    findings: Mapping[str | None, dict[str, Finding]],
    partition: Partition,
    ctx: Context,
    app: DriftApp,
) -> _ServicesResult:
    git = await desired_by_git(scan, ctx, app)
    known = await compared_services(partition, app)
    live = {str(each.component.service) for each in inventory.components}
    absent = [
        each.service_id
        for each in known
        if each.is_expected
        and each.service_id not in live
        and not inventory.may_have(ServiceId(each.service_id))
    ]
    is_mass_absence = are_too_many_absent(scan, absent, len(known), app.rules.detection)
    others = _other_services(scan, inventory, known, findings, git, ctx)
    baselines = [*known, *await _baselines(others, scan, ctx, app)]

    async def judge(baseline: ServiceBaseline) -> Reason | None:
        service_id = baseline.service_id
        may_be_there = service_id in live or inventory.may_have(ServiceId(service_id))
        work = scan_service(
            baseline,
            scan,
            findings[service_id],
            ctx,
            app,
            git=git,
            is_mass_absence=is_mass_absence and service_id in absent,
            may_be_there=baseline.is_known or may_be_there,
        )
        key = (partition_of(ctx.tenant, service_id), BASELINES.type_name)
        until = ctx.now() + app.rules.detection.scan + LATE
        result = await app.service.sweeps.attempt(SCAN, key, work, until)
        if isinstance(result, Failure):
            return Reason(code="Failed", message=f"{baseline.module_id}: see the app's log")
        return result

    reasons = await bounded_map(baselines, judge, at_once=SERVICES_AT_ONCE)
    unread = [reason for reason in reasons if reason is not None]
    own = {each.service_id for each in baselines}
    unread += [
        Reason(code="Unread", message=each.reason_for(own)[:500]) for each in inventory.unread
    ]
    seen = len(reasons) - len([*filter(None, reasons)])
    return _ServicesResult(seen, unread, tuple(sorted(absent)), is_mass_absence=is_mass_absence)


async def _by_service(
    partition: Partition, app: DriftApp
) -> Mapping[str | None, dict[str, Finding]]:
    """Return the findings by service; those of the environment itself by None."""
    findings: dict[str | None, dict[str, Finding]] = defaultdict(dict)
    for finding in await active_findings(Prefix(partition.tenant, partition.environment), app):
        findings[finding.service_id][finding.finding_id] = finding
    return findings


def _other_services(
    scan: EnvironmentScan,
    inventory: Inventory,
    known: Sequence[ServiceBaseline],
    findings: Mapping[str | None, Mapping[str, Finding]],
    git: DesiredByGit | None,
    ctx: Context,
) -> Mapping[str, str]:
    """Return the modules of the services that are not among those compared, by service.

    They are live, or Git names them, or something was found of them before.
    """
    key = parse_id(scan.environment_id, "env").environment
    named = git.environment.modules if git else ()
    live = [each.component for each in inventory.components if each.component.tenant == ctx.tenant]
    modules = {
        **{str(each.service): str(each.module) for each in live},
        **{
            str(service_id(key, module_key(ctx.tenant, ModuleId(each.module_id)))): each.module_id
            for each in named
        },
        **_with_findings(findings),
    }
    compared = {each.service_id for each in known}
    return {service: module for service, module in modules.items() if service not in compared}


def _with_findings(findings: Mapping[str | None, Mapping[str, Finding]]) -> Mapping[str, str]:
    return {
        service: module
        for service, of_service in findings.items()
        for module in (next((each.module_id for each in of_service.values()), None),)
        if service is not None and module is not None
    }


async def _baselines(
    modules: Mapping[str, str], scan: EnvironmentScan, ctx: Context, app: DriftApp
) -> Sequence[ServiceBaseline]:
    """Return the baselines of services by their ids; new ones of those that have none."""
    environment = EnvironmentId(scan.environment_id)

    async def find(service: str) -> ServiceBaseline:
        stored = await app.service.work.find(BASELINES, service, ctx.tenant)
        module = ModuleId(modules[service])
        return stored or new_baseline(service, ctx.tenant, environment, module, scan.stage)

    return await bounded_map([*modules], find, at_once=SERVICES_AT_ONCE)


async def _end_unknown_services(
    scan: EnvironmentScan,
    findings: Mapping[str | None, dict[str, Finding]],
    ctx: Context,
    app: DriftApp,
) -> None:
    """End the findings of services that no inventory retires now.

    Nobody released them, or they were retired before, and something was found of them since.
    """
    for baseline in await _baselines(_with_findings(findings), scan, ctx, app):
        if not baseline.is_known or baseline.is_retired:
            of_service = findings[baseline.service_id]
            await scan_service(
                baseline, scan, of_service, ctx, app, git=None, is_mass_absence=False
            )
