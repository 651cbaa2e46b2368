"""What an environment itself is to be, beside its services, as its owners told last. Pure.

An older event changes nothing newer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contracts.environments import (
    BindingIsolation,
    ComputeTarget,
    EnvironmentFacts,
    EnvironmentStatus,
    RuntimeEnvironmentProvisioned,
)
from shared.contracts.tenants import (
    Quota,
    RuntimeTenantBound,
    TenantBindingStatus,
    TenantIsolationProofCompleted,
)


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
    targets: tuple[ComputeTarget, ...] = ()
    isolation: BindingIsolation | None = None
    binding: BoundTenant = field(default_factory=BoundTenant)


def after_environment_event(
    content: EnvironmentContent, event: EnvironmentFacts
) -> EnvironmentContent:
    """Return *content* after a newer *event* of its environment."""
    told = replace(content, status=event.status)
    if not isinstance(event, RuntimeEnvironmentProvisioned):
        return told
    isolation = next(iter(event.isolation), None)
    return replace(told, targets=event.compute_targets, isolation=isolation)


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
