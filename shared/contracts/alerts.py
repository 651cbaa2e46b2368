"""The alerts of all services: their names, how severe each is, and the events that tell of one.

A service says of what an alert is, when it is due and why; the rest follows from that.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shared.contracts.shape import Event, Resource
from shared.contracts.values import (
    TEXT_MAX,
    EnvironmentId,
    Instant,
    Label,
    ModuleId,
    ServiceId,
    Severity,
    Text,
    Url,
)
from shared.kernel.dataclass import dataclass

RUNBOOKS: Final = "https://factory-runtime.dev/alerts/"
"""A name, as that of an error."""


EVIDENCE_MAX: Final = 20


class AlertFacts(Event):
    """The fields of every event of an alert; `aggregate_id` is the alert's own id."""

    alert: Label
    severity: Severity
    environment_id: EnvironmentId
    service_id: ServiceId | None = None
    evidence: Annotated[tuple[Text, ...], Field(max_length=EVIDENCE_MAX)] = ()
    runbook: Url | None = None


class RuntimeAlertRaised(AlertFacts):
    raised_at: Instant


class RuntimeAlertCleared(AlertFacts):
    raised_at: Instant
    cleared_at: Instant


class Alert(StrEnum):
    """docs/alerts.md has a section for each, which its `runbook` names."""

    UNHEALTHY = "ServiceUnhealthy"
    DEGRADED = "ServiceDegraded"
    FAST_BURN = "ErrorBudgetBurnsFast"
    SLOW_BURN = "ErrorBudgetBurnsSlowly"
    NOTHING_TO_GO_BACK_TO = "NothingToGoBackTo"
    ISOLATION_BREACHED = "IsolationBreached"
    ROTATION_FAILED = "SecretRotationFailed"
    SECRET_DELETED = "SecretDeletedInVault"  # noqa: S105  a name
    VERSION_DISABLED = "SecretVersionDisabled"
    SECRET_EXPIRES = "SecretExpires"  # noqa: S105  a name
    SEVERE_DRIFT = "SevereDrift"
    SIGNAL_LOST = "ScalingSignalLost"
    POLICY_REJECTED = "ScalingPolicyRejected"


SEVERITIES: Final[Mapping[Alert, Severity]] = {
    Alert.UNHEALTHY: Severity.CRITICAL,
    Alert.DEGRADED: Severity.WARNING,
    Alert.FAST_BURN: Severity.CRITICAL,
    Alert.SLOW_BURN: Severity.WARNING,
    Alert.NOTHING_TO_GO_BACK_TO: Severity.CRITICAL,
    Alert.ISOLATION_BREACHED: Severity.CRITICAL,
    Alert.ROTATION_FAILED: Severity.CRITICAL,
    Alert.SECRET_DELETED: Severity.CRITICAL,
    Alert.VERSION_DISABLED: Severity.CRITICAL,
    Alert.SECRET_EXPIRES: Severity.WARNING,
    Alert.SEVERE_DRIFT: Severity.WARNING,
    Alert.SIGNAL_LOST: Severity.WARNING,
    Alert.POLICY_REJECTED: Severity.WARNING,
}
"""Critical pages somebody now; Warning is a ticket."""


@dataclass(frozen=True)
class AlertChange:
    """An alert that was raised, or with `cleared_at` has ended."""

    alert: Alert
    raised_at: str
    evidence: tuple[str, ...] = ()
    cleared_at: str | None = None


@dataclass(frozen=True)
class AlertState:
    """Since when an alert is raised; `raised_at` None: it is not. `revision` counts both ways."""

    revision: int = 0
    raised_at: str | None = None

    def after(self, change: AlertChange) -> "AlertState":
        """Return the state after *change*."""
        raised_at = change.raised_at if change.cleared_at is None else None
        return AlertState(self.revision + 1, raised_at)


def judge_alerts(
    raised: Mapping[str, str], due: Mapping[Alert, Sequence[str]], at: str
) -> Sequence[AlertChange]:
    """Return what changes where these are *raised*, since when, and those *due*, by which evidence.

    One that is raised already stays so, whatever its evidence is by now.
    """
    began = [
        AlertChange(alert, at, tuple(evidence))
        for alert, evidence in due.items()
        if alert not in raised
    ]
    ended = [
        AlertChange(Alert(alert), since, cleared_at=at)
        for alert, since in raised.items()
        if alert not in due
    ]
    return [*began, *ended]


@dataclass(frozen=True)
class AlertSubject:
    """What alerts are of: *identity* has one of each name."""

    identity: str
    environment_id: str
    service_id: str | None = None


def service_subject(service_id: str, environment_id: str) -> AlertSubject:
    """Return a service as what alerts are of."""
    return AlertSubject(service_id, environment_id, service_id)


def alert_event(
    alert: Alert,
    subject: AlertSubject,
    revision: int,
    raised_at: str | datetime,
    *,
    cleared_at: str | datetime | None = None,
    evidence: Iterable[str] = (),
) -> RuntimeAlertRaised | RuntimeAlertCleared:
    """Return the event that *alert* was raised, or with *cleared_at* has ended.

    *revision* is above that of the alert's event before. Evidence is cut at what an event takes.
    """
    facts = {
        "aggregateId": f"{subject.identity}/{alert}",
        "revision": revision,
        "alert": alert,
        "severity": SEVERITIES[alert],
        "environmentId": subject.environment_id,
        "serviceId": subject.service_id,
        "evidence": [each[:TEXT_MAX] for each in evidence][:EVIDENCE_MAX],
        "runbook": f"{RUNBOOKS}{alert}",
        "raisedAt": raised_at,
    }
    if cleared_at is None:
        return RuntimeAlertRaised.model_validate(facts)
    return RuntimeAlertCleared.model_validate({**facts, "clearedAt": cleared_at})


def change_event(
    change: AlertChange, subject: AlertSubject, revision: int
) -> RuntimeAlertRaised | RuntimeAlertCleared:
    """Return the event of *change*, as `alert_event` does."""
    return alert_event(
        change.alert,
        subject,
        revision,
        change.raised_at,
        cleared_at=change.cleared_at,
        evidence=change.evidence,
    )


class OpenAlert(Resource):
    """GET /v1/platform/<app>/alerts: an alert that was raised and has not ended."""

    aggregate_id: Text
    """That of its events."""
    alert: Label
    severity: Severity
    environment_id: EnvironmentId
    service_id: ServiceId | None
    module_id: ModuleId | None
    about: Text
    """What of the service or environment it is about: a secret by its name, a layer; or empty."""
    raised_at: Instant
    runbook: Url


def open_alert(
    alert: str,
    subject: AlertSubject,
    raised_at: str | datetime,
    *,
    module_id: str | None = None,
    about: str = "",
) -> OpenAlert:
    """Return *alert* of *subject*, which is raised since *raised_at*."""
    return OpenAlert.model_validate(
        {
            "aggregateId": f"{subject.identity}/{alert}",
            "alert": alert,
            "severity": SEVERITIES[Alert(alert)],
            "environmentId": subject.environment_id,
            "serviceId": subject.service_id,
            "moduleId": module_id,
            "about": about,
            "raisedAt": raised_at,
            "runbook": f"{RUNBOOKS}{alert}",
        }
    )
