"""The ports of a compute surface: Surface (deployments), SurfaceReader (all), Sites (environments).

Every write takes a fence: the surface keeps, durably and per component or site, the highest token
it has seen and refuses a lower one with `StaleFence` before anything changes. Every write is
idempotent and may be killed at any point and repeated; the end is that of an undisturbed run.
Writes record what is wanted and return; the surface itself brings it about and keeps it so
(restarts, drains), also when the caller is gone. Callers wait by reading.
"""

from collections.abc import Mapping
from typing import Protocol

from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.observed_state import InstanceProof, LiveComponent, Site
from shared.surfaces.spec import Component, RevisionSpec, SiteSpec
from shared.surfaces.traffic import TrafficSample


class SurfaceReader(Protocol):
    """Reads never change anything. No error but `Unknown`: a read that failed has seen nothing."""

    def capabilities(self) -> Capabilities:
        """Return what this surface can do on this machine; `check` holds a plan against it."""
        ...

    async def observe(self, component: Component) -> Reading[LiveComponent]:
        """Return the component as it is now; Absent when it has no revision here."""
        ...

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        """Return all components of *environment*, or Unknown: never a part of them.

        Absent when the environment has no site here.
        """
        ...

    async def prove(self, component: Component) -> Reading[tuple[InstanceProof, ...]]:
        """Ask every live instance, ready or not, what it runs; Unknown if one cannot be asked."""
        ...

    async def traffic(self, component: Component) -> Reading[TrafficSample]:
        """Return the request counters of each revision; Absent for what gets no traffic."""
        ...

    async def logs(
        self, component: Component, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        """Return the last *tail* lines the instance wrote, oldest first, over its restarts too."""
        ...


class Surface(SurfaceReader, Protocol):
    """What deployments, and nobody else, may change."""

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        """Have `spec.replicas` instances of this revision, without traffic until weights say so.

        Ends a removal of the same revision that is under way, with the instances still there.

        Raises:
            StaleFence, SiteMissing, RouteTaken.
            RevisionDiffers: that revision is here with other content.
            BadArtifact: the archive is absent, damaged or unsafe.
        """
        ...

    async def scale(self, component: Component, revision: int, replicas: int, fence: Fence) -> None:
        """Have *replicas* instances; those too many are drained and stopped, newest first.

        Raises:
            StaleFence, RevisionMissing.
        """
        ...

    async def set_weights(
        self, component: Component, weights: Mapping[int, int], fence: Fence
    ) -> None:
        """Split requests by *weights* (percent by revision, 100 in all, or empty for none).

        Returns when the traffic layer shows the split. A revision needs its share of ready
        instances (`needed_ready`), else nothing is changed.

        Raises:
            StaleFence, RevisionMissing, BadWeights, NotReady.
            TrafficUnavailable: not shown in time; repeat.
        """
        ...

    async def remove(self, component: Component, revision: int, fence: Fence) -> None:
        """Take the revision away: drained (`drain_s`, no active request), stopped within `grace_s`.

        An absent revision is success. Until it is gone `observe` shows it as Draining.

        Raises:
            StaleFence.
            StillWeighted: it has traffic.
        """
        ...


class Sites(Protocol):
    """An environment's place on the surface; changed by the environments service only."""

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        """Have the place and its public endpoint; repeated with other `facts` it takes them.

        Raises:
            StaleFence.
            Unavailable: the traffic layer does not come up; repeat.
        """
        ...

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]: ...

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        """Stop all that runs there and take the place away; an absent one is success.

        Raises:
            StaleFence.
        """
        ...


def needed_ready(replicas: int, percent: int) -> int:
    """Return how many of *replicas* must be ready before *percent* of the requests may come.

    The share rounded up, at least one: weight goes to ready capacity only (invariant 10).
    """
    return max(1, -(-replicas * percent // 100))
