"""The command to the owner of a plane to repair what is not as it recorded it."""

from function_apps.drift.model.classification import SERVICE
from function_apps.drift.model.finding import Finding
from shared.contracts.roll_outs import RemediateDrift
from shared.messaging.outbox import Send


def remediate_drift(finding: Finding, reason: str) -> Send:
    """Return the command to the owner of what *finding* is about."""
    assert finding.path != SERVICE, finding
    assert finding.service_id is not None, finding
    command = RemediateDrift.model_validate(
        {
            "environmentId": finding.environment_id,
            "moduleId": finding.module_id,
            "findingId": finding.finding_id,
            "path": f"{finding.plane}/{finding.path}",
            "recordedRevision": finding.baseline_revision,
            "reason": reason,
        }
    )
    owner = finding.remediation.owner
    return Send(owner.value, command, project=finding.project_id, module=finding.module_id)
