"""Decisions of people about a finding: acknowledge, suppress, adopt, or have it repaired."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from function_apps.drift import repository
from function_apps.drift.errors import NotRepairable, RepairHeld, SuppressionTooLong
from function_apps.drift.events import alert_event, finding_event
from function_apps.drift.model import finding as findings
from function_apps.drift.model.alert import judge_alert_after
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import (
    INSTANCES,
    REVISION,
    SERVICE,
    is_of_git,
    is_value_of_git,
)
from function_apps.drift.model.environment_scan import ADOPTED_MAX, AdoptedValue, EnvironmentScan
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.service_differences import is_cut
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import BASELINES, FINDINGS, SCANS, put_finding
from function_apps.drift.resources import answer
from function_apps.drift.use_cases.repair import repair_command
from shared.contracts.drift import FindingReason, FindingStatus, RemediationPolicy, Suppression
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.outbox import Audited, Row, Send
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put
from shared.persistence.store import partition_of

NextFinding = Callable[[Finding, Sequence[Finding]], Finding]
"""Returns a finding after a decision, given all that are active with it."""
Holder = TypeVar("Holder", EnvironmentScan, ServiceBaseline)
"""The document that has the alert of what a finding is of."""
_WITHOUT_VALUE: Final = frozenset({SERVICE, REVISION, INSTANCES})
"""The beginnings of paths that are not one property of the release."""
_OF_GIT: Final = "what runs is as it was released: deploy what Git says, or change Git"
_VALUE_OF_GIT: Final = (
    "it is as it was published: `runtimectl config publish -f` the file that Git has, or"
    " `deploy -f` it where that is a release file, or change Git"
)


async def acknowledge(
    finding_id: str, asked: FindingReason, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Say that somebody knows of it. Raises FindingNotFound, TransitionRefused."""

    def change(known: Finding, _: Sequence[Finding]) -> Finding:
        return findings.acknowledge(known, asked.reason)

    return await _change(
        finding_id, FindingStatus.ACKNOWLEDGED, change, "AcknowledgeDrift", asked.reason, ctx, app
    )


async def suppress(
    finding_id: str, asked: Suppression, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Let it be until then: it is not reported, and no repair of its service writes it.

    One that is let be already gets the new end.

    Raises:
        FindingNotFound, TransitionRefused.
        SuppressionTooLong: longer than a suppression may be, or no time at all.
    """
    most = app.rules.suppressed_max
    if not timedelta() < asked.length <= most:
        raise SuppressionTooLong(most.days)
    until = ctx.now() + asked.length

    def change(known: Finding, _: Sequence[Finding]) -> Finding:
        return findings.suppress(known, until, asked.reason)

    return await _change(finding_id, None, change, "SuppressDrift", asked.reason, ctx, app)


async def adopt(
    finding_id: str, asked: FindingReason, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Take what is live for what is desired, until the next release of its service.

    Of a value of configuration that Git states: until Git says something else, or another is
    published.

    Raises:
        FindingNotFound, TransitionRefused.
        NotRepairable: it is about more than one property, of another release than the one in
            force, or of a value that is too long to be kept: there is no value to take. Or as many
            are adopted as a document keeps.
    """
    service_id = repository.service_of(finding_id)

    async def decide(view: View) -> Decision[Json]:
        known = view.get(FINDINGS, finding_id)
        active = await repository.active_findings(partition_of(ctx.tenant, finding_id), app)
        if service_id is None and is_value_of_git(known.path):
            return _adopt_value(known, asked.reason, active, view, ctx)
        if service_id is None:
            raise NotRepairable(
                finding_id,
                f"{known.plane} is as environments recorded it: change the environment, or the"
                " binding of the tenant",
            )
        baseline = view.find(BASELINES, service_id)
        if known.status is FindingStatus.ADOPTED:
            return _again(known, "AdoptDrift", asked.reason)
        if is_of_git(known.path):
            raise NotRepairable(finding_id, _OF_GIT)
        if baseline is None or known.path.partition("/")[0] in _WITHOUT_VALUE:
            raise NotRepairable(finding_id, f"{known.path} has no value that could be desired")
        _require_value(known, baseline)
        after = findings.adopt(known, asked.reason)
        adopted, rows = _with_alert(_with(baseline, known), after, active, ctx)
        return Decision(
            answer(after),
            writes=[put_finding(after), BASELINES.put(adopted)],
            outbox=[finding_event(after), *rows],
            audited=Audited("AdoptDrift", finding_id, after.status, reason=asked.reason),
        )

    also = [repository.holder_of(finding_id)]
    return await app.service.work.change(ctx, FINDINGS, finding_id, decide, also=also)


def _again(known: Finding, action: str, reason: str) -> Decision[Json]:
    """Return a decision that was taken before: it is a repeat, or has another reason."""
    after = findings.reword(known, reason)
    if after == known:
        return Decision(answer(known), is_repeat=True)
    return Decision(
        answer(after),
        writes=[put_finding(after)],
        outbox=[finding_event(after)],
        audited=Audited(action, known.finding_id, after.status, reason=reason),
    )


def _adopt_value(
    known: Finding, reason: str, active: Sequence[Finding], view: View, ctx: Context
) -> Decision[Json]:
    """Return the adoption of a value that is in force otherwise than Git says."""
    if known.status is FindingStatus.ADOPTED:
        return _again(known, "AdoptDrift", reason)
    scan = view.get(SCANS, known.environment_id)
    if len(scan.adopted.keys() - {known.path}) >= ADOPTED_MAX:
        raise NotRepairable(
            known.finding_id,
            f"{ADOPTED_MAX} values of the environment are adopted: have Git say some of them",
        )
    after = findings.adopt(known, reason)
    value = AdoptedValue(known.desired, known.actual)
    adopted, rows = _with_alert(
        replace(scan, adopted={**scan.adopted, known.path: value}), after, active, ctx
    )
    return Decision(
        answer(after),
        writes=[put_finding(after), SCANS.put(adopted)],
        outbox=[finding_event(after), *rows],
        audited=Audited("AdoptDrift", known.finding_id, after.status, reason=reason),
    )


def _require_value(finding: Finding, baseline: ServiceBaseline) -> None:
    """Refuse to adopt what is no value of the release in force, or has no room beside others.

    Raises:
        NotRepairable.
    """
    released = baseline.release_revision
    if finding.baseline_revision != released:
        raise NotRepairable(
            finding.finding_id,
            f"it is of release {finding.baseline_revision}, and {released} is in force: the next"
            " scan judges it anew",
        )
    if is_cut(finding):
        raise NotRepairable(finding.finding_id, "what is live is too long to be kept")
    if len(baseline.adopted.keys() - {_property(finding)}) >= ADOPTED_MAX:
        raise NotRepairable(
            finding.finding_id,
            f"{ADOPTED_MAX} properties of the service are adopted: release some of them, as the"
            " next release ends all of that",
        )


def _with(baseline: ServiceBaseline, finding: Finding) -> ServiceBaseline:
    adopted = {**baseline.adopted, _property(finding): finding.actual}
    return replace(baseline, adopted=adopted)


def _property(finding: Finding) -> str:
    return f"{finding.plane}/{finding.path}"


async def remediate(
    finding_id: str, asked: FindingReason, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Ask the plane's owner to repair it. One that is under repair already is left so.

    Raises:
        FindingNotFound, TransitionRefused.
        NotRepairable: no command of the platform's would.
        RepairHeld: the repair would write a property that is suppressed.
    """

    def change(stored: Finding, active: Sequence[Finding]) -> Finding:
        _require_repairable(stored, active, ctx.now())
        return findings.begin_repair(stored, asked.reason, ctx.now(), app.rules.detection)

    def command(after: Finding, baseline: ServiceBaseline | None) -> Send:
        return repair_command(after, baseline, asked.reason or "asked for")

    return await _change(
        finding_id, FindingStatus.REMEDIATING, change, "RemediateDrift", asked.reason, ctx, app,
        command,
    )  # fmt: skip


def _require_repairable(finding: Finding, active: Sequence[Finding], now: datetime) -> None:
    """Refuse a repair that nobody does, or that would write what is not asked for.

    Raises:
        RepairHeld, NotRepairable.
    """
    for each in active:
        if findings.blocks_repair(each, now):
            raise RepairHeld(finding.finding_id, each.finding_id, each.path)
        if findings.would_destroy_unasked(finding, each):
            why = f"the environment is repaired as a whole, and so would be {each.path}"
            raise NotRepairable(finding.finding_id, f"{why}, for good: ask for {each.finding_id}")
    if finding.remediation.policy is RemediationPolicy.NEVER:
        raise NotRepairable(finding.finding_id, _why_never(finding))


def _why_never(finding: Finding) -> str:
    if is_value_of_git(finding.path):
        return _VALUE_OF_GIT
    if is_of_git(finding.path):
        return _OF_GIT
    if finding.path == SERVICE:
        return "nobody released it; take it away, or deploy it"
    return "the setting says never"


async def _change(
    finding_id: str,
    status: FindingStatus | None,
    change: NextFinding,
    action: str,
    reason: str,
    ctx: Context,
    app: DriftApp,
    command: Callable[[Finding, ServiceBaseline | None], Send] | None = None,
) -> Outcome[Json]:
    """Commit what *change* makes of a finding; one in *status* already is a repeat.

    With a change the document with the alert is written, where there is one: so of two decisions at
    once, or a decision and a repair that a scan begins, the second knows the first. A repeat
    writes none, also with another reason: no status changes.
    """
    parse_id(finding_id, "df")

    async def decide(view: View) -> Decision[Json]:
        known = view.get(FINDINGS, finding_id)
        if known.status is status:
            return _again(known, action, reason)
        active = await repository.active_findings(partition_of(ctx.tenant, finding_id), app)
        after = change(known, active)
        writes, rows = _alert(after, active, view, ctx)
        baseline = view.find(BASELINES, after.service_id) if after.service_id else None
        return Decision(
            answer(after),
            writes=[put_finding(after), *writes],
            outbox=[finding_event(after), *([command(after, baseline)] if command else ()), *rows],
            audited=Audited(action, finding_id, after.status, reason=reason),
        )

    also = [repository.holder_of(finding_id)]
    return await app.service.work.change(ctx, FINDINGS, finding_id, decide, also=also)


def _alert(
    after: Finding, active: Sequence[Finding], view: View, ctx: Context
) -> tuple[Sequence[Put], Sequence[Row]]:
    """Return the write of the document with the alert, and the event of a change of that."""
    if after.service_id is None:
        scan = view.find(SCANS, after.environment_id)
        if scan is None:
            return [], []
        of_environment, rows = _with_alert(scan, after, active, ctx)
        return [SCANS.put(of_environment)], rows
    baseline = view.find(BASELINES, after.service_id)
    if baseline is None:
        return [], []
    known, rows = _with_alert(baseline, after, active, ctx)
    return [BASELINES.put(known)], rows


def _with_alert(
    holder: Holder, after: Finding, active: Sequence[Finding], ctx: Context
) -> tuple[Holder, list[Row]]:
    """Return *holder* with the alert as it is after one finding is *after*, and its event."""
    change = judge_alert_after(holder.alert, after, active, ctx.now())
    if change is None:
        return holder, []
    known = replace(holder, alert=holder.alert.after(change))
    return known, [alert_event(known, change)]
