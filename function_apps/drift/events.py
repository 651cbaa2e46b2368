"""The events that drift publishes, as rows of the outbox."""

from typing import Any

from function_apps.drift.model.alert import alert_subject, module_of
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from shared.contracts.alerts import AlertChange, change_event
from shared.contracts.drift import FindingStatus, RuntimeDriftDetected, RuntimeDriftResolved
from shared.contracts.values import Reason
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


def alert_event(holder: EnvironmentScan | ServiceBaseline, change: AlertChange) -> Publish:
    """Return the event of *change*, after which the alert is that of *holder*."""
    event = change_event(change, alert_subject(holder), holder.alert.revision)
    return Publish(event, module=module_of(holder))


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
