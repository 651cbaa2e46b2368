"""Judge one service: commit what a scan of it means, a batch of findings at a time.

Each batch is decided from what is stored then, so a scan that ends half-way, or runs twice, leaves
what the next one completes.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.drift.events import alert_event
from function_apps.drift.model.alert import judge_alert
from function_apps.drift.model.baseline import ServiceBaseline, observe
from function_apps.drift.model.classification import Circumstances
from function_apps.drift.model.desired import learned
from function_apps.drift.model.environment_scan import EnvironmentScan, is_own_fence
from function_apps.drift.model.finding import Finding, blocks_repair, too_many
from function_apps.drift.model.git_comparison import git_differences
from function_apps.drift.model.service_differences import (
    differences,
    has_other_replicas,
    replicas_confirmed_at,
)
from function_apps.drift.model.service_scan import ServiceScan, judge, seen_findings
from function_apps.drift.model.snapshot import take_snapshot
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import (
    BASELINES,
    FINDINGS,
    FINDINGS_A_BATCH,
    active_findings,
    snapshot_partition,
)
from function_apps.drift.use_cases.alert_findings import alarming_ids, as_stored
from function_apps.drift.use_cases.commit_findings import findings_decision
from function_apps.drift.use_cases.read_service import read_authors
from shared.contracts.drift import FindingStatus
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import partition_of
from shared.persistence.tables import TableRow

_KEY_BITS: Final = 256


async def judge_service(scan: ServiceScan, ctx: Context, app: DriftApp) -> Reason | None:
    """Commit what *scan* means; return why it could not be judged, if so.

    While the platform is at work on the service nothing is judged: it is scanned again after.
    """
    baseline = await _record_reading(scan, ctx, app)
    if baseline is None:
        return Reason(code="ReleaseChanged", message="a newer release came during the scan")
    if scan.is_mass_absence:
        return Reason(code="MassAbsence", message="many services were absent at once")
    if own_work := _own_work(baseline, scan.environment, ctx.now(), app):
        return Reason(code="OwnWork", message=own_work)
    as_stored_now = scan if baseline is scan.baseline else replace(scan, baseline=baseline)
    left_out = await _judge_findings(as_stored_now, ctx, app)
    return too_many(left_out) if left_out else None


def _own_work(
    baseline: ServiceBaseline, environment: EnvironmentScan, now: datetime, app: DriftApp
) -> str | None:
    if deployment := _work_on(baseline, environment, now, app):
        return f"{deployment} is changing it"
    if deployment := _released_by(baseline, environment, now, app):
        return f"{deployment} has changed it, and what it left is not known here yet"
    is_lately = is_own_fence(baseline.fence_moved_at, now, app.rules.detection.own_work)
    return "the platform wrote there a moment ago" if is_lately else None


def _work_on(
    baseline: ServiceBaseline, environment: EnvironmentScan, now: datetime, app: DriftApp
) -> str | None:
    return environment.work_on(baseline.module_id, now - app.rules.detection.work_at_most)


def _released_by(
    baseline: ServiceBaseline, environment: EnvironmentScan, now: datetime, app: DriftApp
) -> str | None:
    since = now - app.rules.detection.work_at_most
    return environment.released_by(baseline.module_id, baseline.release_revision, since)


async def _record_reading(scan: ServiceScan, ctx: Context, app: DriftApp) -> ServiceBaseline | None:
    """Store what was read as far as later scans need it; None when the release has changed.

    A service that is as the last scan left it costs the store nothing.
    """
    before, now = scan.baseline, ctx.now()
    service_id = before.service_id
    key = before.digest_key or f"{app.service.entropy.bits(_KEY_BITS):x}"
    expected = _after_reading(_with_key(before, key), scan, now, app)
    # Where nothing is new, it goes on with the one of which what was released is made already.
    is_as_before = expected == before
    digest = await _keep_snapshot(scan, before if is_as_before else expected, ctx, app)
    if is_as_before and digest == before.snapshot and before.is_known:
        return before

    def decide(view: View) -> Decision[ServiceBaseline | None]:
        stored = view.find(BASELINES, service_id)
        known = stored or before
        if not _is_same_release(known, before):
            return Decision(None)
        after = _after_reading(_with_key(known, key), scan, now, app)
        after = replace(after, snapshot=digest)
        return Decision(after, writes=[] if after == stored else [BASELINES.put(after)])

    outcome = await app.service.work.change(ctx.without_marker(), BASELINES, service_id, decide)
    return outcome.value


def _with_key(baseline: ServiceBaseline, key: str) -> ServiceBaseline:
    return baseline if baseline.digest_key else replace(baseline, digest_key=key)


def _after_reading(
    known: ServiceBaseline, scan: ServiceScan, now: datetime, app: DriftApp
) -> ServiceBaseline:
    """Return *known* after the reading of *scan*.

    It is due again where the platform is at work, or a number of instances is not believed yet.
    """
    planes = scan.reading.live.revisions.get(known.release_revision)
    may_learn = planes is not None and not _work_on(known, scan.environment, now, app)
    after = observe(
        known,
        is_there=planes is not None or not known.is_expected,
        fence=scan.reading.fence,
        configuration=learned(known, planes) if planes and may_learn else None,
        now=now,
        is_counted=not scan.is_mass_absence,
        has_other_replicas=has_other_replicas(known, scan.reading.live),
    )
    if _own_work(after, scan.environment, now, app):
        again_at = isoformat(now + app.rules.detection.own_work)
        return replace(after, replicas_differ_since=None, due_at=again_at)
    confirmed_at = replicas_confirmed_at(after, app.rules.detection)
    if confirmed_at is None or confirmed_at <= now:
        return after
    return replace(after, due_at=isoformat(confirmed_at))


async def _keep_snapshot(
    scan: ServiceScan, after: ServiceBaseline, ctx: Context, app: DriftApp
) -> str:
    """Keep what was read, where it is otherwise than before; return the digest of the last one."""
    live = scan.reading.live
    if after.release_revision not in live.revisions:
        return after.snapshot
    snapshot = take_snapshot(after, live, ctx.now(), app.rules.detection)
    if snapshot is None:
        return after.snapshot
    key = snapshot_partition(ctx.tenant, after.environment_id)
    await app.snapshots.upsert([TableRow(key, snapshot.snapshot_id, snapshot.values)])
    return snapshot.digest


def _is_same_release(one: ServiceBaseline, other: ServiceBaseline) -> bool:
    return (one.release_revision, one.retired_at, one.adopted) == (
        other.release_revision, other.retired_at, other.adopted,
    )  # fmt: skip


async def _judge_findings(scan: ServiceScan, ctx: Context, app: DriftApp) -> int:
    """Commit what becomes of the findings of a service; return how many differences have none."""
    baseline, now, rules = scan.baseline, ctx.now(), app.rules.detection
    environment = scan.environment
    known = Circumstances(
        stage=baseline.stage,
        is_healthy=baseline.is_healthy,
        failed_deployment=environment.failed_since(baseline.module_id, baseline.released_at),
        since=baseline.released_at,
        policy=app.remediation,
        desired_by=scan.git.basis(baseline.module_id) if scan.git else "",
    )
    live = differences(baseline, scan.reading.live, now, rules)
    authors = await read_authors(baseline, app) if live else {}
    found = [
        each
        for each in (*live, *git_differences(scan.git, baseline, environment))
        if not environment.planes or each.plane in environment.planes
    ]
    seen = seen_findings(baseline, found, scan.findings, known, now, authors)

    def judged(stored: Finding | None, finding_id: str) -> Finding | None:
        return judge(stored, seen.get(finding_id), baseline, scan.reading.live, now, rules)

    after = {
        each: judged(scan.findings.get(each), each)
        for each in sorted({*seen, *scan.findings})
        if each in seen or _is_asked(scan.findings[each], environment)
    }
    blocking = [each for each in scan.findings.values() if blocks_repair(each, now)]
    due = [] if blocking else _to_repair(after, scan.findings, now)
    news = [each for each in after if after[each] is not None or each in due]
    current, in_repair = dict(scan.findings), _in_repair(scan.findings)
    for first in range(0, len(news), FINDINGS_A_BATCH):
        page = news[first : first + FINDINGS_A_BATCH]
        current |= await _commit(page, judged, due, in_repair, baseline, ctx, app)
    await _judge_alert(baseline, list(current.values()), ctx, app)
    return len({(each.plane, each.change.path) for each in found}) - len(seen)


async def _judge_alert(
    baseline: ServiceBaseline, findings: Sequence[Finding], ctx: Context, app: DriftApp
) -> None:
    """Raise or end the alert of the service, where *findings* are news for it."""
    if judge_alert(baseline.alert, findings, ctx.now()) is None:
        return

    def decide(view: View) -> Decision[Json]:
        stored = view.find(BASELINES, baseline.service_id)
        if stored is None or not _is_same_release(stored, baseline):
            return NOTHING
        change = judge_alert(stored.alert, as_stored(findings, view), ctx.now())
        if change is None:
            return NOTHING
        known = replace(stored, alert=stored.alert.after(change))
        told, audited = alert_event(known, change), Audited("JudgeAlert", baseline.service_id)
        return Decision({}, writes=[BASELINES.put(known)], outbox=[told], audited=audited)

    work, also = app.service.work, alarming_ids(findings)
    await work.change(ctx.without_marker(), BASELINES, baseline.service_id, decide, also=also)


async def _commit(
    page: Sequence[str],
    judged: Callable[[Finding | None, str], Finding | None],
    due: Sequence[str],
    in_repair: AbstractSet[str],
    baseline: ServiceBaseline,
    ctx: Context,
    app: DriftApp,
) -> Mapping[str, Finding]:
    """Commit what becomes of one page of findings, unless the release has changed; return them.

    Nothing is repaired beside what somebody let be meanwhile, and no repair is asked for again that
    was since the scan began, when those *in_repair* were under repair. Who decides so writes the
    baseline, as this does where it begins a repair.
    """
    partition = partition_of(ctx.tenant, baseline.service_id)

    async def decide(view: View) -> Decision[Mapping[str, Finding]]:
        stored = view.find(BASELINES, baseline.service_id)
        if stored is None or not _is_same_release(stored, baseline):
            return Decision({})
        findings = {each: view.find(FINDINGS, each) for each in page}
        changed = {each: judged(findings[each], each) for each in page}
        to_begin, is_asked = [each for each in due if each in changed], False
        if to_begin:
            active = await active_findings(partition, app)
            if any(blocks_repair(each, ctx.now()) for each in active):
                to_begin = []
            is_asked = bool(_in_repair({each.finding_id: each for each in active}) - in_repair)
        decision = findings_decision(
            changed, findings, to_begin, ctx, app, baseline=stored, is_asked=is_asked
        )
        if not (to_begin and decision.writes):
            return decision
        return replace(decision, writes=[*decision.writes, BASELINES.put(stored)])

    reads = [BASELINES.document_id(baseline.service_id), *page]
    outcome = await app.service.work.commit(ctx.without_marker(), partition, reads, decide)
    return outcome.value


def _in_repair(findings: Mapping[str, Finding]) -> AbstractSet[str]:
    return {each for each, of in findings.items() if of.status is FindingStatus.REMEDIATING}


def _is_asked(finding: Finding, environment: EnvironmentScan) -> bool:
    return not environment.planes or finding.plane in environment.planes


def _to_repair(
    after: Mapping[str, Finding | None], known: Mapping[str, Finding], now: datetime
) -> list[str]:
    """Return the findings to be repaired now; one command of the first of them repairs all."""
    current = {each: finding or known.get(each) for each, finding in after.items()}
    return [
        each
        for each, finding in current.items()
        if finding is not None and finding.may_be_repaired(now)
    ]
