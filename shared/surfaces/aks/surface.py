"""AKS: workloads are pods of a Kubernetes cluster, which keeps them running by itself.

A write records its fence, then applies what is desired and returns; Deployments and the garbage
collector of the cluster do the rest. Every write is of an object as it was read: who is overtaken
reads again, and its fence is judged again.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks import logs
from shared.surfaces.aks.capabilities import capabilities
from shared.surfaces.aks.cluster_api import ApiRefusal, ClusterApi
from shared.surfaces.aks.instances import is_stopping
from shared.surfaces.aks.live_objects import LiveObjects
from shared.surfaces.aks.names import REVISION, Installation
from shared.surfaces.aks.observation import applied_spec, live_component
from shared.surfaces.aks.proof import is_running, prove_pod
from shared.surfaces.aks.records import Records, Unreadable
from shared.surfaces.aks.server_side_apply import WriteConflict, refused
from shared.surfaces.aks.sites import GATEWAY_PORT, ClusterSites
from shared.surfaces.aks.traffic_layer import TrafficLayers
from shared.surfaces.aks.workloads import Workloads
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Site, Unread
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

if TYPE_CHECKING:
    from lightkube import AsyncClient

P = ParamSpec("P")
T = TypeVar("T")
_ATTEMPTS: Final = 5
"""A controller of the cluster updates an object a few times a second while it comes up."""
_RETRY_S: Final = 0.1


def _reading(
    read: Callable[Concatenate["AksSurface", P], Awaitable[T | None]],
) -> Callable[Concatenate["AksSurface", P], Coroutine[None, None, Reading[T]]]:
    """Make *read* a read of the port: Absent for None, Unknown if it cannot be answered."""

    @wraps(read)
    async def reading(self: "AksSurface", /, *args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            value = await read(self, *args, **kwargs)
        except (Unavailable, Invalid, NotFound, ApiRefusal, Unreadable) as failed:
            return Unknown(str(failed))
        return Absent() if value is None else Present(value)

    return reading


def _write(
    write: Callable[Concatenate["AksSurface", P], Awaitable[None]],
) -> Callable[Concatenate["AksSurface", P], Coroutine[None, None, None]]:
    """Make *write* one of the port: it is repeated from its first read while it is overtaken."""

    @wraps(write)
    async def repeated(self: "AksSurface", /, *args: P.args, **kwargs: P.kwargs) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await write(self, *args, **kwargs)
            except WriteConflict as overtaken:
                if attempt == _ATTEMPTS - 1:
                    raise Unavailable(f"others write there too: {overtaken}") from overtaken
                await self.clock.sleep(_RETRY_S * 2**attempt)
            except ApiRefusal as refusal:
                raise refused(refusal, "a read that the write needs") from refusal
            except Unreadable as damaged:
                raise Unavailable(str(damaged)) from damaged
            else:
                return

    return repeated


class AksSurface:
    """Surface, SurfaceReader and Sites on the cluster that *connect* gives the client of."""

    def __init__(
        self,
        connect: "Callable[[], Awaitable[AsyncClient]]",
        clock: Clock,
        installation: Installation | None = None,
        *,
        gateway_class: str | None = None,
        gateway_port: int = GATEWAY_PORT,
    ) -> None:
        self.clock = clock
        self._installation = installation or Installation()
        self._api = ClusterApi(connect)
        self._records = Records(self._api, self._installation)
        self._live = LiveObjects(self._api, self._installation, self._records)
        self._traffic = TrafficLayers(self._api, clock, gateway_class)
        self._sites = ClusterSites(
            self._api, self._installation, self._records, clock, gateway_port
        )
        self._workloads = Workloads(self._api, self._installation, self._records, self._live, clock)

    async def refresh(self) -> None:
        """Read what the cluster offers, for `capabilities`; each other call does so too, at times.

        Raises:
            Unavailable.
        """
        try:
            await self._traffic.read()
        except ApiRefusal as refusal:
            raise refused(refusal, "a read of its GatewayClasses") from refusal

    def capabilities(self) -> Capabilities:
        if self._traffic.last is None:
            raise Unavailable("the cluster has not answered yet, so what it offers is not known")
        return capabilities(self._traffic.last)

    @_write
    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        await self._sites.ensure(spec, fence, await self._traffic.read())

    @_write
    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        await self._sites.delete(environment, fence)

    @_write
    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        await self._workloads.apply(spec, fence)

    @_write
    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        await self._workloads.scale(component, revision, replicas, fence)

    @_write
    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        traffic = await self._traffic.read()
        await self._workloads.set_weights(component, weights, fence, traffic)

    @_write
    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        traffic = await self._traffic.read()
        await self._workloads.remove(component, revision, fence, traffic)

    @_reading
    async def read_site(self, environment: EnvironmentId) -> Site | None:
        return await self._sites.read(environment, await self._traffic.read())

    @_reading
    async def observe(self, component: SurfaceComponent) -> LiveComponent | None:
        traffic = await self._traffic.read()
        record = await self._records.site(component.environment)
        if record is None or not record.is_wanted:
            return None
        objects = await self._live.component(component, is_routed=traffic.is_there)
        url = await self._sites.url(record, traffic)
        return live_component(objects, url, self.clock.now())

    @_reading
    async def inventory(self, environment: EnvironmentId) -> Inventory | None:
        traffic = await self._traffic.read()
        record = await self._records.site(environment)
        if record is None or not record.is_wanted:
            return None
        url = await self._sites.url(record, traffic)
        now = self.clock.now()
        found = await self._live.environment(environment, is_routed=traffic.is_there)
        live, unread = [], []
        for objects in found:
            try:
                live.append(live_component(objects, url, now))
            except Unreadable as damaged:
                unread.append(Unread(str(damaged), objects.component.service))
        return Inventory(tuple(each for each in live if each is not None), tuple(unread))

    @_reading
    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> tuple[LiveProof, ...] | None:
        objects = await self._live.component(component, is_routed=False)
        if not objects.deployments:
            return None
        specs = {spec.revision: spec for spec in map(applied_spec, objects.deployments)}
        proofs = []
        for pod in objects.pods:
            number = int(pod["metadata"]["labels"][REVISION])
            is_asked = number in specs and revision in {None, number}
            if is_asked and is_running(pod) and not is_stopping(pod):
                proofs.append(await prove_pod(self._api, pod, specs[number], self.clock.now()))
        return tuple(sorted(proofs, key=lambda proof: (proof.revision, proof.instance)))

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        live = await self.observe(component)
        match live:
            case Present(value=value) if value.endpoint is None:
                return Absent()
            case Present():
                return Unknown("the cluster's gateway gives no counters of requests")
            case _:
                return live

    @_reading
    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> tuple[str, ...] | None:
        for pod in (await self._live.component(component, is_routed=False)).pods:
            if pod["metadata"]["name"] == instance:
                return await logs.tail(self._api, pod, tail)
        return None

    @_reading
    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> tuple[str, ...] | None:
        pods = (await self._live.component(component, is_routed=False)).pods
        names = [
            pod["metadata"]["name"]
            for pod in pods
            if pod["metadata"]["labels"][REVISION] == str(revision)
        ]
        return tuple(sorted(names)) or None
