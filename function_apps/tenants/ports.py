"""The ports of tenants, and the numbers of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from shared.composition.service import Service
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Reading
from shared.surfaces.boundaries import Boundary
from shared.surfaces.port import Surface


@runtime_checkable
class BoundaryReader(Protocol):
    """All that tenants is given of a surface with `Feature.NAMESPACES`."""

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]: ...


def boundary_readers(
    surfaces: Mapping[ComputeTargetKind, Surface],
) -> Mapping[ComputeTargetKind, BoundaryReader]:
    """Return those of *surfaces* that have boundaries."""
    return {kind: each for kind, each in surfaces.items() if isinstance(each, BoundaryReader)}


@dataclass(frozen=True)
class TenantsRules:
    """The numbers of the service; the local profile shortens the waits."""

    prove_every: timedelta = timedelta(minutes=5)
    """The boundaries of a tenant are looked at again."""


LOCAL_RULES: Final = TenantsRules(prove_every=timedelta(seconds=15))


@dataclass(frozen=True)
class TenantsApp:
    """The service's own parts, and the boundaries that are read."""

    service: Service
    boundaries: Mapping[ComputeTargetKind, BoundaryReader]
    rules: TenantsRules = field(default_factory=TenantsRules)
