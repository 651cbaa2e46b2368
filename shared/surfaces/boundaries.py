"""What separates the workloads of one tenant in one environment from all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.contracts import tenants
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.spec import Resources


@dataclass(frozen=True)
class Quota:
    """What all instances of the tenant in the environment take together; None for no limit."""

    cpu: float | None = None
    memory_mb: int | None = None
    instances: int | None = None


def bound_quota(quota: tenants.Quota) -> Quota:
    """Return the quota of a tenant's binding, as far as a surface counts it."""
    return Quota(quota.cpu, quota.memory_mib, quota.instances)


_NO_LIMITS: Final = Resources()


@dataclass(frozen=True)
class BoundarySpec:
    """A tenant's part of an environment.

    Its instances are reached from each other and from the environment's public port only, and reach
    each other, names, and `may_reach`.
    """

    environment: EnvironmentId
    tenant: TenantId
    quota: Quota = Quota()
    limits: Resources = _NO_LIMITS
    """Of an instance whose component names none."""
    identity: str | None = None
    """The client id of the managed identity that its instances act as; None: they have none."""
    may_reach: tuple[str, ...] = ()
    """Networks outside, as `10.1.0.0/16`."""


@dataclass(frozen=True)
class Boundary:
    """A boundary as it is. `properties` are its live values, by the paths of its spec."""

    environment: EnvironmentId
    tenant: TenantId
    name: str
    """What the surface calls it, for example its namespace."""
    is_ready: bool
    used: Quota = Quota()
    properties: Mapping[str, str] = field(default_factory=dict)
    fence: int = 0


def boundary_properties(spec: BoundarySpec) -> Mapping[str, str]:
    """Return what *spec* asks for, as `Boundary.properties` shows it."""
    limits = {
        "limits/cpu": spec.limits.cpu,
        "limits/memoryMib": spec.limits.memory_mb,
        "identity": spec.identity,
    }
    networks = {f"mayReach/{network}": "allowed" for network in spec.may_reach}
    return {**quota_properties(spec.quota), **_given(limits), **networks}


def quota_properties(quota: Quota) -> Mapping[str, str]:
    """Return what *quota* asks for, as `Boundary.properties` shows it."""
    return _given(
        {
            "quota/cpu": quota.cpu,
            "quota/memoryMib": quota.memory_mb,
            "quota/instances": quota.instances,
        }
    )


def _given(values: Mapping[str, float | str | None]) -> Mapping[str, str]:
    return {path: _text(value) for path, value in values.items() if value is not None}


def _text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
