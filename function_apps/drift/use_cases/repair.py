"""The command to the owner of a plane to repair what is not as it recorded it."""

from collections.abc import Sequence

from function_apps.drift.model.classification import SERVICE
from function_apps.drift.model.finding import Finding
from shared.contracts.drift import Plane
from shared.contracts.environments import RepairEnvironment
from shared.contracts.roll_outs import RemediateDrift
from shared.messaging.outbox import Send


def repair_command(findings: Sequence[Finding], reason: str) -> Send:
    """Return the command to the owner of what *findings* are about; it names the first of them."""
    finding = findings[0]
    owner = finding.remediation.owner
    if finding.service_id is None:
        whole = RepairEnvironment.model_validate(
            {
                "environmentId": finding.environment_id,
                "findingIds": [finding.finding_id],
                "reason": reason,
            }
        )
        return Send(owner.value, whole)
    assert finding.path != SERVICE, finding
    command = RemediateDrift.model_validate(
        {
            "environmentId": finding.environment_id,
            "moduleId": finding.module_id,
            "findingId": finding.finding_id,
            "path": f"{finding.plane}/{finding.path}",
            "recordedRevision": finding.baseline_revision,
            "replicas": next(filter(None, map(_number, findings)), None),
            "reason": reason,
        }
    )
    return Send(owner.value, command, project=finding.project_id, module=finding.module_id)


def _number(finding: Finding) -> int | None:
    """Return the number of instances that *finding* calls desired; None where it is of no such."""
    is_number = (finding.plane, finding.path) == (Plane.REPLICAS, "replicas")
    desired = finding.desired or ""
    return int(desired) if is_number and desired.isdecimal() else None
