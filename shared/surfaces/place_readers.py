"""The reads of an environment's place on a surface: what services are given that only look."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Reading
from shared.surfaces.boundaries import Boundary
from shared.surfaces.observed_state import Site


@runtime_checkable
class BoundaryReader(Protocol):
    """All that they are given of a surface with `Feature.NAMESPACES`."""

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]: ...


@runtime_checkable
class SiteReader(Protocol):
    """All that they are given of a surface with sites."""

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]: ...


def site_readers(
    surfaces: Mapping[ComputeTargetKind, object],
) -> Mapping[ComputeTargetKind, SiteReader]:
    """Return those of *surfaces* that have sites."""
    return {kind: each for kind, each in surfaces.items() if isinstance(each, SiteReader)}


def boundary_readers(
    surfaces: Mapping[ComputeTargetKind, object],
) -> Mapping[ComputeTargetKind, BoundaryReader]:
    """Return those of *surfaces* that have boundaries."""
    return {kind: each for kind, each in surfaces.items() if isinstance(each, BoundaryReader)}
