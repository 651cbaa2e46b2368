"""The events that environments publishes, as rows of the outbox."""

from typing import Any

from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import State
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.messaging.outbox import Publish


def environment_changed(environment: RuntimeEnvironment) -> Publish:
    """Return the event that carries the state of *environment*."""
    return Publish(_event(environment), project=environment.project_id)


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
