"""What environments say to the world: their events, and the resources that HTTP answers."""

from typing import Any

from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.states import State
from shared.contracts.environments import (
    Environment,
    EnvironmentFacts,
    EnvironmentPlan,
    PlannedAction,
    PlannedResource,
    Refusal,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.infrastructure.port import Preview


def event_of(environment: RuntimeEnvironment) -> EnvironmentFacts:
    """Return the event that tells of the state *environment* is in."""
    facts: dict[str, Any] = {
        "aggregate_id": environment.environment_id,
        "revision": environment.revision,
        "environment_id": environment.environment_id,
        "owner_tenant_id": environment.tenant_id,
        "name": environment.name,
        "stage": environment.stage,
        "region": environment.region,
        "isolation_model": environment.spec.isolation_model,
        "status": environment.status,
        "generation": environment.generation,
    }
    match environment.status:
        case State.PROVISIONED:
            return RuntimeEnvironmentProvisioned(
                **facts,
                compute_targets=environment.targets,
                outputs=environment.outputs,
                pulumi_stack_ref=environment.stack,
                last_update=environment.last_update,
            )
        case State.FAILED | State.DECOMMISSION_FAILED:
            return RuntimeEnvironmentFailed(
                **facts, reason=environment.reason, remaining=environment.remaining
            )
        case State.DECOMMISSIONED:
            return RuntimeEnvironmentDecommissioned(**facts, remaining=environment.remaining)
        case _:
            return RuntimeEnvironmentStatusChanged(**facts, reason=environment.reason)


def resource(environment: RuntimeEnvironment) -> Environment:
    """Return what clients see of *environment*."""
    spec = environment.spec
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
            "protected": spec.protected,
            "paused": False,
            "ttl": None,
            "expiresAt": None,
            "tags": spec.tags,
            "admits": spec.admits,
            "provisioned": environment.targets,
            "outputs": environment.outputs,
            "isolation": (),
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


def plan(environment: RuntimeEnvironment, preview: Preview) -> EnvironmentPlan:
    dependencies = {node.urn: node.dependencies for node in preview.graph.nodes}
    cost = preview.monthly_cost
    return EnvironmentPlan(
        plan_id=preview.plan_hash,
        plan_hash=preview.plan_hash,
        environment_id=environment.environment_id,
        base_revision=environment.revision,
        resources=tuple(
            PlannedResource(
                urn=change.urn,
                type=change.type,
                action=PlannedAction(change.change),
                depends_on=dependencies.get(change.urn, ()),
                changed=change.paths,
            )
            for change in preview.changes
        ),
        refusals=tuple(
            Refusal(code=each.code, target=each.target, message=each.message)
            for each in preview.refusals
        ),
        monthly_cost=cost.amount if cost else None,
        currency=cost.currency if cost else "EUR",
    )
