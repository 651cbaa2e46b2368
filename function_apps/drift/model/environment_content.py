"""The content of an environment itself, as environments and tenants told last. Pure.

An older event changes nothing newer.
"""

from collections.abc import Mapping
from dataclasses import field, replace

from shared.contracts.environments import (
    BindingIsolation,
    ComputeTarget,
    DataResourceSpec,
    EnvironmentFacts,
    EnvironmentStatus,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.isolation import Quota
from shared.contracts.tenants import (
    RuntimeTenantBound,
    TenantBindingStatus,
    TenantIsolationProofCompleted,
)
from shared.contracts.values import ComputeTargetKind, Reason, Resources
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class BoundTenant:
    """The tenant's binding to the environment. `proofs` has the newest of each layer."""

    revision: int = 0
    status: TenantBindingStatus | None = None
    quota: Quota = field(default_factory=Quota)
    proofs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvironmentContent:
    """`status` is None until something was heard. `isolation` is of the tenant's own binding."""

    status: EnvironmentStatus | None = None
    name: str = ""
    """Empty until it is told, of one that was heard of before names were kept."""
    owner: str = ""
    """The tenant that has the environment; another one is told less of it."""
    targets: tuple[ComputeTarget, ...] = ()
    data: tuple[DataResourceSpec, ...] = ()
    capacities: Mapping[ComputeTargetKind, Resources] | None = None
    """The total of all workloads on a surface; None while nobody told."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    isolation: BindingIsolation | None = None
    binding: BoundTenant = field(default_factory=BoundTenant)


def after_environment_event(
    content: EnvironmentContent, event: EnvironmentFacts
) -> EnvironmentContent:
    """Return *content* after a newer *event* of its environment."""
    told = replace(content, status=event.status, name=event.name, owner=event.owner_tenant_id)
    if not isinstance(event, RuntimeEnvironmentProvisioned):
        return told
    isolation = next(iter(event.isolation), None)
    return replace(
        told,
        targets=event.compute_targets,
        data=event.data_resources,
        capacities=event.capacities,
        outputs=event.outputs,
        isolation=isolation,
    )


def why_not_compared(content: EnvironmentContent) -> tuple[Reason, bool] | None:
    """Return why the environment itself is not compared, and whether it is unfinished.

    None where it is as it is to be.
    """
    match content.status:
        case EnvironmentStatus.PROVISIONED:
            return None
        case EnvironmentStatus.DECOMMISSIONED:
            return Reason(code="Decommissioned", message="the environment is gone"), False
        case EnvironmentStatus.FAILED | EnvironmentStatus.DECOMMISSION_FAILED:
            return Reason(code="EnvironmentFailed", message="it is there in parts only"), True
        case status:
            message = f"the environment is {status or 'not heard of yet'}"
            return Reason(code="OwnWork", message=message), True


def after_binding(
    content: EnvironmentContent, event: RuntimeTenantBound
) -> EnvironmentContent | None:
    """Return *content* after news of the tenant's binding; None when they are not newer."""
    known = content.binding
    if event.revision <= known.revision:
        return None
    binding = replace(known, revision=event.revision, status=event.status, quota=event.quota)
    return replace(content, binding=binding)


def after_proof(
    content: EnvironmentContent, event: TenantIsolationProofCompleted
) -> EnvironmentContent | None:
    """Return *content* after the proof of a layer; None when it is not newer."""
    known = content.binding
    if event.revision <= known.proofs.get(event.layer, 0):
        return None
    proofs = {**known.proofs, event.layer.value: event.revision}
    return replace(content, binding=replace(known, proofs=proofs))
