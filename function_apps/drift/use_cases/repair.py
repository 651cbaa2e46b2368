"""The command to the owner of a plane to repair what is not as it recorded it."""

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import SERVICE
from function_apps.drift.model.finding import Finding
from shared.contracts.environments import RepairEnvironment
from shared.contracts.roll_outs import RemediateDrift
from shared.messaging.outbox import Send


def repair_command(finding: Finding, baseline: ServiceBaseline | None, reason: str) -> Send:
    """Return the command to the owner of what *finding* is about, of a service its *baseline*.

    Whatever is repaired of a service, the number that somebody adopted is brought: a repair that
    is on its way answers for all that differs.
    """
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
            "replicas": baseline.adopted_replicas if baseline else None,
            "reason": reason,
        }
    )
    return Send(owner.value, command, project=finding.project_id, module=finding.module_id)
