"""The resources of drift: a finding, the report of an environment, a snapshot."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from function_apps.drift.model.alert import alert_subject, module_of
from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding
from function_apps.drift.model.git_comparison import DesiredByGit, rolled_back_reasons
from function_apps.drift.model.git_source import GitSource
from function_apps.drift.model.snapshot import Snapshot
from shared.contracts.alerts import Alert, OpenAlert, open_alert
from shared.contracts.drift import (
    SOURCE_REASONS_MAX,
    DesiredFromGit,
    DriftFinding,
    DriftReport,
    DriftSnapshot,
    SnapshotChange,
    SnapshotContent,
)
from shared.contracts.drift import GitSource as GitSourceResource
from shared.kernel.ids import TenantId
from shared.messaging.unit_of_work import Json

SNAPSHOT_CHANGES_MAX: Final = 1000
REASONS_MAX: Final = 20
SOURCES_ROOT: Final = "v1/runtime/git-sources"


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
    scan: EnvironmentScan,
    findings: Sequence[Finding],
    git: DesiredByGit | None,
    next_link: str | None,
) -> DriftReport:
    """Return the page *findings* of an environment, with what its last scan could see."""
    return DriftReport.model_validate(
        {
            "environmentId": scan.environment_id,
            "coverage": scan.coverage,
            "scannedAt": scan.scanned_at,
            "git": None if git is None else desired_from_git(git, scan),
            "absentHeld": scan.is_mass_absence,
            "value": [finding_resource(finding) for finding in findings],
            "nextLink": next_link,
        }
    )


def desired_from_git(git: DesiredByGit, scan: EnvironmentScan) -> DesiredFromGit:
    """Return which commit an environment is compared with, and what of it could not be read."""
    source = git.source
    own = [source.reason] if source.reason is not None else []
    reasons = [*own, *git.environment.reasons, *rolled_back_reasons(git.environment, scan)]
    return DesiredFromGit.model_validate(
        {
            "sourceId": source.source_id,
            "commit": source.commit,
            "syncedAt": source.synced_at,
            "staleSince": source.stale_since,
            "modules": len(git.environment.modules),
            "reasons": reasons[:REASONS_MAX],
        }
    )


def source_resource(source: GitSource) -> GitSourceResource:
    """Return *source* as clients see it, without the names of its secrets."""
    return GitSourceResource.model_validate(
        {
            "sourceId": source.source_id,
            "tenantId": source.tenant_id,
            "repository": source.repository,
            "branch": source.branch,
            "path": source.path,
            "environmentIds": source.environment_ids,
            "environments": [
                {
                    "environmentId": each.environment_id,
                    "modules": len(each.modules),
                    "reasons": each.reasons[:SOURCE_REASONS_MAX],
                }
                for each in source.environments
            ],
            "every": timedelta(seconds=source.every_s),
            "commit": source.commit,
            "syncedAt": source.synced_at,
            "staleSince": source.stale_since,
            "reason": source.reason,
            "webhook": f"/{SOURCES_ROOT}/{source.source_id}/webhook?tenant={source.tenant_id}",
            "revision": source.revision,
        }
    )


def source_answer(source: GitSource) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return source_resource(source).model_dump(mode="json", by_alias=True)


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


def raised_alerts(
    holder: EnvironmentScan | ServiceBaseline, _tenant: TenantId
) -> Iterator[OpenAlert]:
    """Yield the alert of a service, or of an environment itself, while it is raised."""
    if (since := holder.alert.raised_at) is not None:
        yield open_alert(
            Alert.SEVERE_DRIFT, alert_subject(holder), since, module_id=module_of(holder)
        )
