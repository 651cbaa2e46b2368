"""The resources that environments answers over HTTP."""

from typing import Final

from function_apps.environments.model.environment import RuntimeEnvironment
from shared.contracts.environments import (
    Environment,
    EnvironmentPlan,
    PlannedAction,
    PlannedResource,
    Refusal,
)
from shared.infrastructure.port import Preview
from shared.messaging.unit_of_work import Json

CHANGED_MAX: Final = 50
PATH_MAX: Final = 128
"""Of the changed properties of one resource, as many and as much as a plan shows."""


def environment_resource(environment: RuntimeEnvironment) -> Environment:
    """Return *environment* as clients see it."""
    spec = environment.in_force
    return Environment.model_validate(
        {
            "environmentId": environment.environment_id,
            "tenantId": environment.tenant_id,
            "projectId": environment.project_id,
            "name": environment.name,
            "stage": environment.stage,
            "region": environment.region,
            "status": environment.status,
            "isolationModel": spec.isolation_model,
            "generation": environment.generation,
            "revision": environment.revision,
            "computeTargets": spec.compute_targets,
            "dataResources": spec.data_resources,
            "retained": environment.retained,
            "protected": spec.protected,
            "paused": False,
            "ttl": None,
            "expiresAt": None,
            "tags": spec.tags,
            "admits": spec.admits,
            "provisioned": environment.targets,
            "outputs": environment.outputs,
            "isolation": environment.isolation,
            "pulumiStackRef": environment.stack,
            "lastUpdate": environment.last_update,
            "reason": environment.reason,
            "remaining": environment.remaining,
            "createdAt": environment.created_at,
            "updatedAt": environment.updated_at,
            "decommissionedAt": environment.decommissioned_at,
            "lastOperationId": environment.operation_id,
            "lastOperation": None,
        }
    )


def answer(environment: RuntimeEnvironment) -> Json:
    """Return the immediate answer of a command, as JSON."""
    resource = environment_resource(environment).model_dump(mode="json", by_alias=True)
    return {"operationId": environment.operation_id, "environment": resource}


def plan_resource(
    environment: RuntimeEnvironment, preview: Preview, base_revision: int
) -> EnvironmentPlan:
    """Return *preview*, a plan of *environment* from *base_revision* on, as clients see it."""
    cost = preview.monthly_cost
    return EnvironmentPlan(
        plan_id=preview.plan_hash,
        plan_hash=preview.plan_hash,
        environment_id=environment.environment_id,
        base_revision=base_revision,
        resources=tuple(
            PlannedResource(
                urn=change.urn,
                type=change.type,
                action=PlannedAction(change.action),
                depends_on=change.dependencies,
                changed=tuple(path[:PATH_MAX] for path in change.paths[:CHANGED_MAX]),
            )
            for change in preview.changes
        ),
        refusals=tuple(
            Refusal(code=refusal.code, target=refusal.target, message=refusal.message)
            for refusal in preview.refusals
        ),
        monthly_cost=cost.amount if cost else None,
        currency=cost.currency if cost else "EUR",
    )
