"""Single reads of a surface, as ports: what services are given of it that only look."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Reading
from shared.surfaces.boundaries import Boundary, Quota
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import SurfaceComponent


@runtime_checkable
class BoundaryReader(Protocol):
    """All that they are given of a surface with boundaries."""

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]: ...


@runtime_checkable
class AttemptReader(Protocol):
    """All that they are given of a surface with `Feature.ISOLATION_ATTEMPTS`."""

    async def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[tuple[LayerAttempts, ...]]: ...


@runtime_checkable
class QuotaAttemptReader(Protocol):
    """Of a reader of attempts that also tries a quota; no feature declares it."""

    async def attempt_quota(
        self, environment: EnvironmentId, tenant: TenantId, quota: Quota
    ) -> Reading[tuple[LayerAttempts, ...]]:
        """Try to have more than *quota*, that of the binding, as far as one instance can.

        What the surface would take is not made.
        """
        ...


@runtime_checkable
class SiteReader(Protocol):
    """All that they are given of a surface with sites."""

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]: ...


@runtime_checkable
class AuthorReader(Protocol):
    """All that they are given of a surface that keeps who set which part of an object.

    No feature declares it.
    """

    async def authors(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[Mapping[str, str]]:
        """Return who set a property of the revision last, where that is not the platform.

        By plane and path, as `workload/image`. Of what was taken away nobody is known.
        """
        ...


def author_readers(
    surfaces: Mapping[ComputeTargetKind, object],
) -> Mapping[ComputeTargetKind, AuthorReader]:
    """Return those of *surfaces* that know who set which property."""
    return {kind: each for kind, each in surfaces.items() if isinstance(each, AuthorReader)}


def attempt_readers(
    surfaces: Mapping[ComputeTargetKind, object],
) -> Mapping[ComputeTargetKind, AttemptReader]:
    """Return those of *surfaces* on which isolation is tried from inside."""
    return {kind: each for kind, each in surfaces.items() if isinstance(each, AttemptReader)}


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
