"""The events that drift publishes, as rows of the outbox."""

from datetime import datetime
from typing import Any

from function_apps.drift.model.alert import AlertChange
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from shared.contracts import alerts as contracts
from shared.contracts.alerts import Alert, AlertSubject
from shared.contracts.drift import FindingStatus, RuntimeDriftDetected, RuntimeDriftResolved
from shared.contracts.values import Reason
from shared.kernel.clock import isoformat
from shared.messaging.outbox import Publish


def finding_event(finding: Finding) -> Publish:
    """Return the event with the present state of *finding*."""
    if finding.status in {FindingStatus.RESOLVED, FindingStatus.ADOPTED}:
        at = finding.resolved_at or finding.detected_at
        reason = Reason(code=finding.status.value, message=finding.reason or "as desired again")
        event: RuntimeDriftDetected | RuntimeDriftResolved = RuntimeDriftResolved.model_validate(
            {**_facts(finding), "resolvedAt": at, "reason": reason}
        )
    else:
        event = RuntimeDriftDetected.model_validate(
            {**_facts(finding), "detectedAt": finding.detected_at}
        )
    return Publish(event, project=finding.project_id, module=finding.module_id)


def alert_event(
    holder: EnvironmentScan | ServiceBaseline, change: AlertChange, now: datetime
) -> Publish:
    """Return the event that the alert of *holder* was raised, or has ended.

    It is of a service, or without one of the environment itself.
    """
    service_id = module_id = None
    if isinstance(holder, ServiceBaseline):
        service_id, module_id = holder.service_id, holder.module_id
    evidence = (
        f"{each.plane}/{each.path} is {each.severity} and {each.status} since {each.detected_at}"
        for each in change.findings
    )
    event = contracts.alert_event(
        Alert.SEVERE_DRIFT,
        AlertSubject(service_id or holder.environment_id, holder.environment_id, service_id),
        change.state.revision,
        change.raised_at,
        cleared_at=None if change.findings else isoformat(now),
        evidence=evidence,
    )
    return Publish(event, module=module_id)


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "aggregateId": finding.finding_id,
        "revision": finding.revision,
        "findingId": finding.finding_id,
        "environmentId": finding.environment_id,
        "serviceId": finding.service_id,
        "moduleId": finding.module_id,
        "plane": finding.plane,
        "kind": finding.kind,
        "path": finding.path,
        "desired": finding.desired,
        "actual": finding.actual,
        "severity": finding.severity,
        "risk": finding.risk,
        "cause": finding.cause,
        "actor": finding.actor,
        "remediation": finding.remediation,
        "occurrences": finding.occurrences,
        "attempts": finding.attempts,
        "status": finding.status,
        "baselineRevision": finding.baseline_revision,
    }
