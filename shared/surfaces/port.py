"""The ports of a compute surface: Surface (deployments), SurfaceReader (all), Sites (environments).

These every surface has. NativeScaling, Restarts, Schedules, Boundaries and IsolationAttempts have
those that declare the feature.

Every write takes a fence: the surface stores the highest token per component or site durably, and
refuses a lower one with `StaleFence` before anything changes. Every write is idempotent: it may be
killed at any point and repeated, and the result is that of an undisturbed run. Writes record the
desired state and return; the surface reconciles it on its own (restarts, drains), also without the
caller. Callers wait by reading.
"""

from collections.abc import Mapping
from typing import Protocol

from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Reading
from shared.surfaces.boundaries import Boundary, BoundarySpec
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Site
from shared.surfaces.properties import Properties
from shared.surfaces.scaling import ScalingRules
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample


class ComponentReader(Protocol):
    """Reads change nothing. A read that fails returns `Unknown` and raises nothing."""

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        """Return the live component; Absent when it has no revision here."""
        ...

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        """Return all live components of *environment*, and which of them could not be read.

        Absent when the environment has no site here.
        """
        ...

    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> Reading[tuple[LiveProof, ...]]:
        """Return a proof of every live instance, ready or not; Unknown if one cannot be read.

        With *revision*, only of its instances: others may be dead.
        """
        ...

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        """Return the request counters of each revision; Absent for a worker."""
        ...

    async def properties(self, component: SurfaceComponent) -> Reading[Mapping[int, Properties]]:
        """Return the live properties of each revision, whoever changed them; see properties.py."""
        ...

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        """Return the last *tail* lines of output, oldest first, across restarts."""
        ...

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        """Return the instances of *revision* whose output can be read, also the removed ones."""
        ...


class SurfaceReader(ComponentReader, Protocol):
    """The reads of one surface, and what it can do."""

    def capabilities(self) -> Capabilities:
        """Return the capabilities of this surface on this machine, for `capabilities.check`."""
        ...


class Surface(SurfaceReader, Protocol):
    """The writes of deployments, the only service that may change workloads."""

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        """Request `spec.replicas` instances of this revision, without traffic until it has weight.

        A removal of the same revision that has not ended is undone. A workload that runs once
        begins, and no second time as long as its revision is there; one with a schedule starts no
        run before `activate_schedule`.

        Raises:
            StaleFence, SiteMissing, RouteTaken.
            PathNotOwned: it has a path prefix in the environment of another tenant.
            RevisionDiffers: that revision exists with other content.
            BadArtifact: the archive is absent, damaged or unsafe.
            DataMissing: one of its data folders is not there.
        """
        ...

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        """Request *replicas* instances; surplus ones are drained and stopped, newest first.

        Raises:
            StaleFence, RevisionMissing.
            NotOwner: the surface owns the number, by its own rules. The fence is recorded.
            Invalid: it runs to its end, and has no number.
        """
        ...

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        """Split requests by *weights*: percent by revision, 100 in total, or empty for none.

        Returns when the traffic layer shows the split. Nothing changes unless every revision has
        its share of ready instances (`needed_ready`).

        Raises:
            StaleFence, RevisionMissing, BadWeights, NotReady.
            TrafficUnavailable: the split did not show in time; repeat.
        """
        ...

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        """Remove the revision: drain it (`drain_s`, or no active request), stop within `grace_s`.

        An absent revision is success. `observe` shows it as Draining until it is removed.

        Raises:
            StaleFence.
            StillWeighted: the revision has traffic.
        """
        ...


class NativeScaling(Protocol):
    """Of a surface with `Feature.NATIVE_SCALING`, and with `EVENT_SCALING` for rules of events."""

    async def set_scaling(
        self,
        component: SurfaceComponent,
        revision: int,
        rules: ScalingRules | None,
        fence: Fence,
    ) -> None:
        """Give the number of instances of the revision to *rules*; None takes it back.

        While the surface owns it, `scale` is refused, and `apply` leaves the number as it is. Taken
        back, it stays what it was. Rules that are refused leave its owner as it was.

        Raises:
            StaleFence, RevisionMissing.
            Invalid: the surface cannot follow such rules for this revision.
        """
        ...


class Restarts(Protocol):
    """Of a surface with `Feature.RESTART`."""

    async def restart(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        """Replace all instances of the revision one by one, each when the next is ready.

        The same step of the same operation restarts them once, however often it is called.

        Raises:
            StaleFence, RevisionMissing.
            Invalid: it runs to its end.
        """
        ...


class Schedules(Protocol):
    """Of a surface with `Feature.SCHEDULES`."""

    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None:
        """Let the schedule of *revision* start runs from now on, and no other of the component.

        At no moment two are active. A run that is under way goes on.

        Raises:
            StaleFence, RevisionMissing.
        """
        ...


class Boundaries(Protocol):
    """Of a surface with `Feature.NAMESPACES` or `QUOTAS`; only environments changes them.

    The site of an environment has one for its owner. Other tenants need one before an `apply`,
    where they have a namespace. What would exceed a quota is not started, and `CannotStart` as long
    as it would; a smaller quota ends nothing that runs.
    """

    async def ensure_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        """Create the boundary, or make it as *spec* says.

        Raises:
            StaleFence, SiteMissing.
            Invalid: it has an identity or networks, and the surface gives none.
        """
        ...

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]: ...

    async def delete_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> None:
        """Stop every workload of the tenant in the environment and delete its boundary.

        An absent boundary is success.

        Raises:
            StaleFence.
        """
        ...


class IsolationAttempts(Protocol):
    """Of a surface with `Feature.ISOLATION_ATTEMPTS`."""

    async def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[tuple[LayerAttempts, ...]]:
        """Have a process, confined as an instance of the tenant, try to reach what is others'.

        It ends with the call, and leaves nothing.
        """
        ...


class Sites(Protocol):
    """The sites of environments; only the environments service changes them."""

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        """Create the site with its public endpoint, or update its `facts`.

        Raises:
            StaleFence.
            Unavailable: the traffic layer did not start in time; repeat.
        """
        ...

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]: ...

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        """Stop every workload of the site and delete it; an absent site is success.

        Raises:
            StaleFence.
        """
        ...


def needed_ready(replicas: int, percent: int) -> int:
    """Return how many of *replicas*, that carry all requests, must be ready for *percent* of them.

    The share is rounded up, and at least one: only ready capacity gets weight (invariant 10).
    """
    return max(1, -(-replicas * percent // 100))


def configured_surface(
    surfaces: Mapping[ComputeTargetKind, Surface], kind: ComputeTargetKind
) -> Surface:
    """Return the surface of *kind*.

    Raises:
        Unavailable: the installation has none, or none any more.
    """
    surface = surfaces.get(kind)
    if surface is None:
        raise Unavailable(f"no {kind} is configured in this installation")
    return surface
