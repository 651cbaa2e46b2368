"""The alert of a service, or of an environment itself: something severe in it is not as recorded.

There is one, however many findings there are. Who acknowledges or suppresses a finding knows of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from function_apps.drift.model.finding import Finding
from shared.contracts.drift import DriftSeverity, FindingStatus
from shared.kernel.clock import isoformat

_SEVERE: Final = frozenset({DriftSeverity.HIGH, DriftSeverity.CRITICAL})
_UNKNOWN_TO_ANYBODY: Final = frozenset({FindingStatus.OPEN, FindingStatus.REMEDIATING})


@dataclass(frozen=True)
class AlertState:
    """Since when it is raised; `raised_at` None: it is not. `revision` counts both ways."""

    revision: int = 0
    raised_at: str | None = None


@dataclass(frozen=True)
class AlertChange:
    """The alert was raised because of findings, or it has ended where there are none."""

    state: AlertState
    raised_at: str
    findings: tuple[Finding, ...] = ()


def is_alarming(finding: Finding) -> bool:
    """Return whether somebody is to look at *finding*: it is severe, or repairs are given up."""
    is_severe = finding.severity in _SEVERE and finding.status in _UNKNOWN_TO_ANYBODY
    return is_severe or finding.status is FindingStatus.ESCALATED


def judge_alert(
    known: AlertState, findings: Iterable[Finding], now: datetime
) -> AlertChange | None:
    """Return what becomes of the alert with all *findings* that there are; None without news."""
    alarming = tuple(each for each in findings if is_alarming(each))
    if bool(alarming) == (known.raised_at is not None):
        return None
    at = isoformat(now)
    state = AlertState(known.revision + 1, at if alarming else None)
    return AlertChange(state, known.raised_at or at, alarming)


def judge_alert_after(
    known: AlertState, changed: Finding, active: Sequence[Finding], now: datetime
) -> AlertChange | None:
    """Return the same after one finding has *changed*; *active* are as they were before."""
    others = [each for each in active if each.finding_id != changed.finding_id]
    return judge_alert(known, [*others, changed], now)
