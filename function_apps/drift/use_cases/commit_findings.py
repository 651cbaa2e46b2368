"""Commit findings that a scan has judged, with their events, and a repair of those that are due."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from function_apps.drift.events import finding_event
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.finding import Finding, begin_repair
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import put_finding
from function_apps.drift.use_cases.repair import repair_command
from shared.kernel.context import Context
from shared.messaging.outbox import Audited, Row
from shared.messaging.unit_of_work import Decision
from shared.persistence.codec import Put

_AUTOMATIC: Final = "its policy is auto"


def findings_decision(
    changed: Mapping[str, Finding | None],
    stored: Mapping[str, Finding | None],
    due: Sequence[str],
    ctx: Context,
    app: DriftApp,
    *,
    baseline: ServiceBaseline | None = None,
    is_asked: bool = False,
) -> Decision[Mapping[str, Finding]]:
    """Return what to commit of findings that have *changed*; its value is all of them after that.

    Those that are *due* are repaired, by one command unless one *is_asked* for already. Those of a
    service have its *baseline*.
    """
    writes: dict[str, Put] = {}
    rows: list[Row] = []
    current: dict[str, Finding] = {}
    begun: list[Finding] = []
    begin = partial(begin_repair, reason=_AUTOMATIC, now=ctx.now(), rules=app.rules.detection)
    for finding_id, judged in changed.items():
        finding = judged or stored[finding_id]
        if finding is None:
            continue
        if finding_id in due and finding.may_be_repaired(ctx.now()):
            finding = begin(finding)
            begun.append(finding)
        current[finding_id] = finding
        if finding != stored[finding_id]:
            writes[finding_id] = put_finding(finding)
            rows.append(finding_event(finding))
    if begun and not is_asked:
        rows.append(repair_command(begun[0], baseline, _AUTOMATIC))
    if not writes:
        return Decision(current)
    audited = Audited("JudgeDrift", next(iter(writes)))
    return Decision(current, writes=[*writes.values()], outbox=rows, audited=audited)
