"""The events that environments publishes, as rows of the outbox."""

from dataclasses import replace
from typing import Any

from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import State, without_owners_part
from function_apps.environments.model.tenant_isolation import TenantIsolation
from shared.contracts.environments import (
    EnvironmentFacts,
    IsolationState,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.messaging.outbox import Publish


def environment_changed(environment: RuntimeEnvironment) -> Publish:
    """Return the event that carries the state of *environment*, for its owner."""
    return Publish(_event(environment), project=environment.project_id)


def environment_told(environment: RuntimeEnvironment, isolation: TenantIsolation) -> Publish:
    """Return the event that tells a bound tenant of the *environment* of another one.

    It has its own facts only, and numbers of its own: others move the revision of its owner. Once
    its isolation is removed, the environment is gone for it.
    """
    is_gone = isolation.state is IsolationState.REMOVED
    seen = replace(
        environment,
        revision=isolation.told,
        generation=isolation.generation,
        status=State.DECOMMISSIONED if is_gone else environment.status,
        isolation=(isolation.shown,),
        outputs={},
        remaining=(),
        spec=without_owners_part(environment.spec),
        applied=None,
    )
    return Publish(_event(seen), project=environment.project_id)


def _event(environment: RuntimeEnvironment) -> EnvironmentFacts:
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
                data_resources=environment.in_force.data_resources,
                outputs=environment.outputs,
                isolation=environment.isolation,
                admits=environment.in_force.admits,
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
