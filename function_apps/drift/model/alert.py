"""The alert of a service, or of an environment itself: something severe in it is not as recorded.

There is one, however many findings there are. Who acknowledges or suppresses a finding knows of it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from shared.contracts.alerts import Alert, AlertChange, AlertState, AlertSubject, judge_alerts
from shared.contracts.drift import DriftSeverity, FindingStatus
from shared.kernel.clock import isoformat

_SEVERE: Final = frozenset({DriftSeverity.HIGH, DriftSeverity.CRITICAL})
_UNKNOWN_TO_ANYBODY: Final = frozenset({FindingStatus.OPEN, FindingStatus.REMEDIATING})


def is_alarming(finding: Finding) -> bool:
    """Return whether somebody is to look at *finding*: it is severe, or repairs are given up."""
    is_severe = finding.severity in _SEVERE and finding.status in _UNKNOWN_TO_ANYBODY
    return is_severe or finding.status is FindingStatus.ESCALATED


def judge_alert(
    known: AlertState, findings: Iterable[Finding], now: datetime
) -> AlertChange | None:
    """Return what becomes of the alert with all *findings* that there are; None without news."""
    evidence = [
        f"{each.plane}/{each.path} is {each.severity} and {each.status} since {each.detected_at}"
        for each in findings
        if is_alarming(each)
    ]
    if known.raised_at is None and not evidence:
        return None
    raised = {} if known.raised_at is None else {Alert.SEVERE_DRIFT.value: known.raised_at}
    due = {Alert.SEVERE_DRIFT: evidence} if evidence else {}
    return next(iter(judge_alerts(raised, due, isoformat(now))), None)


def judge_alert_after(
    known: AlertState, changed: Finding, active: Sequence[Finding], now: datetime
) -> AlertChange | None:
    """Return the same after one finding has *changed*; *active* are as they were before."""
    others = [each for each in active if each.finding_id != changed.finding_id]
    return judge_alert(known, [*others, changed], now)


def alert_subject(holder: EnvironmentScan | ServiceBaseline) -> AlertSubject:
    """Return what the alert of *holder* is of: a service, or the environment itself."""
    service_id = holder.service_id if isinstance(holder, ServiceBaseline) else None
    return AlertSubject(service_id or holder.environment_id, holder.environment_id, service_id)


def module_of(holder: EnvironmentScan | ServiceBaseline) -> str | None:
    """Return the module of a service; None of the environment itself."""
    return holder.module_id if isinstance(holder, ServiceBaseline) else None
