"""The resources of drift: a finding, the report of an environment, a snapshot."""

from collections.abc import Sequence
from typing import Final

from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.snapshot import Snapshot
from shared.contracts.drift import (
    DriftFinding,
    DriftReport,
    DriftSnapshot,
    SnapshotChange,
    SnapshotContent,
)
from shared.messaging.unit_of_work import Json

SNAPSHOT_CHANGES_MAX: Final = 1000


def finding_resource(finding: Finding) -> DriftFinding:
    """Return *finding* as clients see it."""
    return DriftFinding.model_validate(
        {
            "findingId": finding.finding_id,
            "tenantId": finding.tenant_id,
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
            "attempts": finding.attempts,
            "occurrences": finding.occurrences,
            "status": finding.status,
            "reason": finding.reason,
            "suppressedUntil": finding.suppressed_until,
            "nextAttemptAt": finding.next_attempt_at,
            "operationId": None,
            "revision": finding.revision,
            "detectedAt": finding.detected_at,
            "resolvedAt": finding.resolved_at,
        }
    )


def answer(finding: Finding) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return finding_resource(finding).model_dump(mode="json", by_alias=True)


def drift_report(
    scan: EnvironmentScan, findings: Sequence[Finding], next_link: str | None
) -> DriftReport:
    """Return the page *findings* of an environment, with what its last scan could see."""
    return DriftReport.model_validate(
        {
            "environmentId": scan.environment_id,
            "coverage": scan.coverage,
            "scannedAt": scan.scanned_at,
            "absentHeld": scan.is_held,
            "value": [finding_resource(finding) for finding in findings],
            "nextLink": next_link,
        }
    )


def snapshot_row(environment_id: str, snapshot: Snapshot) -> DriftSnapshot:
    """Return one row of the list of snapshots."""
    return DriftSnapshot.model_validate(
        {
            "snapshotId": snapshot.snapshot_id,
            "environmentId": environment_id,
            "serviceId": snapshot.service_id,
            "takenAt": snapshot.taken_at,
            "digest": snapshot.digest,
            "open": snapshot.differences,
        }
    )


def snapshot_content(
    environment_id: str, snapshot: Snapshot, before: Snapshot | None
) -> SnapshotContent:
    """Return what *snapshot* has, and what is otherwise than in the one *before*."""
    changes = [] if before is None else snapshot.since(before)
    return SnapshotContent(
        snapshot=snapshot_row(environment_id, snapshot),
        content=snapshot.content,
        changes=tuple(
            SnapshotChange.model_validate(
                {
                    "path": change.path,
                    "kind": change.kind,
                    "before": change.desired,
                    "after": change.actual,
                }
            )
            for change in changes[:SNAPSHOT_CHANGES_MAX]
        ),
    )
