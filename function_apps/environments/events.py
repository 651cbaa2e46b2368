"""The events that environments publishes, as rows of the outbox."""

from collections.abc import Mapping
from typing import Any, Final

from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import State
from function_apps.environments.model.tenant_isolation import TenantIsolation
from shared.contracts.environments import (
    EnvironmentFacts,
    IsolationState,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
    for_bound_tenants,
)
from shared.contracts.values import Reason
from shared.messaging.outbox import Publish

FAILED_FOR_OTHERS: Final = Reason(
    code="EnvironmentFailed", message="the environment failed: its owner is told why"
)
"""For a bound tenant, in place of the owner's reason, which may name anything."""


def environment_changed(environment: RuntimeEnvironment) -> Publish:
    """Return the event that carries the state of *environment*, for its owner."""
    return Publish(_event(environment), project=environment.project_id)


def environment_told(environment: RuntimeEnvironment, isolation: TenantIsolation) -> Publish:
    """Return the event that tells a bound tenant of the *environment* of another one.

    It is made of the fields that are listed here and no others (ADR 0585), with numbers of its own:
    others move the revision of its owner. Once its isolation is removed, the environment is gone
    for it.
    """
    is_gone = isolation.state is IsolationState.REMOVED
    status = State.DECOMMISSIONED if is_gone else environment.status
    facts: dict[str, Any] = {
        **_facts(environment),
        "revision": isolation.told,
        "generation": isolation.generation,
        "status": status,
    }
    return Publish(_told(environment, isolation, facts), project=environment.project_id)


def _told(
    environment: RuntimeEnvironment, isolation: TenantIsolation, facts: Mapping[str, Any]
) -> EnvironmentFacts:
    match facts["status"]:
        case State.PROVISIONED:
            return RuntimeEnvironmentProvisioned(
                **facts,
                compute_targets=for_bound_tenants(environment.targets),
                isolation=(isolation.shown,),
                pulumi_stack_ref=environment.environment_id,
            )
        case State.FAILED | State.DECOMMISSION_FAILED:
            return RuntimeEnvironmentFailed(**facts, reason=FAILED_FOR_OTHERS)
        case State.DECOMMISSIONED:
            return RuntimeEnvironmentDecommissioned(**facts)
        case _:
            return RuntimeEnvironmentStatusChanged(**facts)


def _event(environment: RuntimeEnvironment) -> EnvironmentFacts:
    facts: dict[str, Any] = {
        **_facts(environment),
        "revision": environment.revision,
        "generation": environment.generation,
        "status": environment.status,
    }
    match environment.status:
        case State.PROVISIONED:
            return RuntimeEnvironmentProvisioned(
                **facts,
                compute_targets=environment.targets,
                data_resources=environment.in_force.data_resources,
                capacities={
                    each.kind: each.capacity
                    for each in environment.in_force.compute_targets
                    if each.capacity is not None
                },
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


def _facts(environment: RuntimeEnvironment) -> Mapping[str, Any]:
    """Return what each tenant that uses *environment* may know of it."""
    return {
        "aggregate_id": environment.environment_id,
        "environment_id": environment.environment_id,
        "owner_tenant_id": environment.tenant_id,
        "name": environment.name,
        "stage": environment.stage,
        "region": environment.region,
        "isolation_model": environment.spec.isolation_model,
    }
