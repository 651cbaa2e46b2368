"""AKS: workloads are pods of a Kubernetes cluster, which keeps them running by itself.

A write records its fence, then applies what is desired and returns; Deployments and the garbage
collector of the cluster do the rest. Every write is of an object as it was read: who is overtaken
reads again, and its fence is judged again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from shared.kernel.clock import Clock
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks import logs, routes
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.capabilities import capabilities
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.cluster_attempts import ClusterAttempts
from shared.surfaces.aks.cluster_boundaries import ClusterBoundaries
from shared.surfaces.aks.cluster_offers import OffersReader
from shared.surfaces.aks.config_maps import live_config_maps
from shared.surfaces.aks.field_managers import authors, set_by_others
from shared.surfaces.aks.gateway_counters import GatewayCounters
from shared.surfaces.aks.jobs import is_true
from shared.surfaces.aks.live_objects import LiveObjects
from shared.surfaces.aks.live_properties import live_properties
from shared.surfaces.aks.names import REVISION, Installation, environment_of
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.observation import applied_spec, live_component, pods_of_instance
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.pod_places import NAMESPACE_AT_ONCE
from shared.surfaces.aks.proof import pods_to_prove, prove_pod, prove_template
from shared.surfaces.aks.readings import reading
from shared.surfaces.aks.records import Records, Unreadable
from shared.surfaces.aks.replicas_owner import ClusterScaling
from shared.surfaces.aks.server_side_apply import WriteConflict, refused
from shared.surfaces.aks.sites import GATEWAY_PORT, ClusterSites
from shared.surfaces.aks.traffic_layer import TrafficLayers
from shared.surfaces.aks.watches import WatchedObjects
from shared.surfaces.aks.workloads import Workloads
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota
from shared.surfaces.capabilities import Capabilities
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Site, Unread
from shared.surfaces.properties import Properties
from shared.surfaces.scaling import ScalingRules
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

if TYPE_CHECKING:
    from lightkube import AsyncClient

_log = logging.getLogger(__name__)
P = ParamSpec("P")
S = TypeVar("S", RevisionSpec, SiteSpec, BoundarySpec, SurfaceComponent, EnvironmentId)
T = TypeVar("T")
_ATTEMPTS: Final = 5
"""A controller of the cluster updates an object a few times a second while it comes up."""
_RETRY_S: Final = 0.1
_CATCHES_UP_S: Final = 10.0
"""A watch is behind by milliseconds; a loaded API server may take seconds."""


def _write(
    write: Callable[Concatenate["AksSurface", S, P], Awaitable[None]],
) -> Callable[Concatenate["AksSurface", S, P], Coroutine[None, None, None]]:
    """Make *write* one of the port: it is repeated from its first read while it is overtaken.

    Its begin and its end are noted, as watches are behind both, and it may take a minute.
    """

    @wraps(write)
    async def noted(self: "AksSurface", subject: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.written_at_s[environment_of(subject)] = self.clock.monotonic_s()
        try:
            await repeated(self, subject, *args, **kwargs)
        finally:
            self.written_at_s[environment_of(subject)] = self.clock.monotonic_s()

    async def repeated(
        self: "AksSurface", subject: S, /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await write(self, subject, *args, **kwargs)
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

    return noted


class AksSurface:
    """All ports of a surface, on the cluster that *connect* gives the client of."""

    def __init__(
        self,
        connect: "Callable[[], Awaitable[AsyncClient]]",
        clock: Clock,
        installation: Installation | None = None,
        *,
        gateway_class: str | None = None,
        gateway_port: int = GATEWAY_PORT,
        counters: GatewayCounters | None = None,
        gateway_networks: tuple[str, ...] = (),
        directory: str | None = None,
        access: PlatformAccess | None = None,
        isolation_image: str | None = None,
    ) -> None:
        """*gateway_networks* are those of a gateway that does not run in the cluster.

        *directory* is that of Entra (tenant id) in which the vaults of tenants are, *access* what
        pods follow their configuration with, *isolation_image* by which isolation is tried.
        """
        self.clock = clock
        self._installation = installation or Installation()
        self._api = ClusterApi(connect)
        self._counters = counters
        self._records = Records(self._api, self._installation)
        self._refresh: asyncio.Task[None] | None = None
        self._live = LiveObjects(self._api, self._installation, self._records)
        self._watched = WatchedObjects(self._api, self._installation, clock)
        self.written_at_s: dict[EnvironmentId, float] = {}
        self._traffic = TrafficLayers(self._api, clock, gateway_class)
        self._offers = OffersReader(self._api, clock, directory)
        own = self._api, self._installation, self._records
        namespaces = Namespaces(*own)
        self._boundaries = ClusterBoundaries(*own, namespaces, clock, gateway_networks, access)
        self._sites = ClusterSites(*own, self._boundaries, namespaces, clock, gateway_port)
        self._scaling = ClusterScaling(*own, clock)
        self._workloads = Workloads(*own, self._live, namespaces, clock, directory, access)
        self._attempts = ClusterAttempts(self._api, self._installation, clock, isolation_image)

    def capabilities(self) -> Capabilities:
        """Return what the cluster offers, as it was read last.

        Raises:
            Unavailable: it was not read yet; that has begun.
        """
        is_due = self._traffic.is_due or self._offers.last is None
        if is_due and (self._refresh is None or self._refresh.done()):
            self._refresh = asyncio.get_running_loop().create_task(self._read_offers())
        if self._traffic.last is None or self._offers.last is None:
            raise Unavailable("the cluster has not answered yet, so what it offers is not known")
        counts, tries = self._counters is not None, self._attempts.image is not None
        return capabilities(self._traffic.last, self._offers.last, counts=counts, tries=tries)

    async def close(self) -> None:
        """End the watches; the connection is its owner's to close."""
        await self._watched.close()

    def _reader(self, environment: EnvironmentId) -> LiveObjects | WatchedObjects:
        """Return what a read reads: not the watches just after we wrote, as they are behind."""
        written_at_s = self.written_at_s.get(environment)
        if written_at_s is None or self.clock.monotonic_s() - written_at_s > _CATCHES_UP_S:
            self.written_at_s.pop(environment, None)
            return self._watched
        return self._live

    async def _read_offers(self) -> None:
        try:
            await self._offers.read()
            await self._traffic.read()
        except (Unavailable, Invalid, NotFound, ApiRefusal) as failed:
            _log.warning("what the cluster offers cannot be read: %s", failed)

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
    async def set_scaling(
        self,
        component: SurfaceComponent,
        revision: int,
        rules: ScalingRules | None,
        fence: Fence,
    ) -> None:
        offers = await self._offers.read()
        await self._scaling.set_rules(
            component, revision, rules, fence, has_events=offers.has_events
        )

    @_write
    async def restart(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        await self._workloads.restart(component, revision, fence)

    @_write
    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None:
        await self._workloads.activate_schedule(component, revision, fence)

    @_write
    async def ensure_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        await self._boundaries.ensure(spec, fence)

    @_write
    async def delete_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> None:
        await self._boundaries.delete(environment, tenant, fence)

    @_write
    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        traffic = await self._traffic.read()
        await self._sites.add_gateway(component.environment, traffic)
        await self._workloads.set_weights(component, weights, fence, traffic)

    @_write
    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        traffic = await self._traffic.read()
        await self._workloads.remove(component, revision, fence, traffic)

    @reading
    async def read_site(self, environment: EnvironmentId) -> Site | None:
        return await self._sites.read(environment, await self._traffic.read())

    @reading
    async def read_boundary(self, environment: EnvironmentId, tenant: TenantId) -> Boundary | None:
        return await self._boundaries.read(environment, tenant)

    @reading
    async def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> tuple[LayerAttempts, ...] | None:
        boundary = await self._boundaries.read(environment, tenant)
        return None if boundary is None else await self._attempts.run(boundary)

    @reading
    async def attempt_quota(
        self, environment: EnvironmentId, tenant: TenantId, quota: Quota
    ) -> tuple[LayerAttempts, ...] | None:
        boundary = await self._boundaries.read(environment, tenant)
        return None if boundary is None else await self._attempts.exceed(boundary, quota)

    @reading
    async def properties(self, component: SurfaceComponent) -> Mapping[int, Properties] | None:
        traffic, offers = await self._traffic.read(), await self._offers.read()
        namespace = self._installation.namespace(component.environment, component.tenant)
        objects = await self._live.component(component, is_routed=traffic.is_there)
        bounds = await self._scaling.bounds(namespace, has_events=offers.has_events)
        specs = [applied_spec(each) for each in objects.workloads]
        maps = await live_config_maps(self._api, self._installation, specs)
        secrets = await self._workloads.secret_words(specs)
        services = await self._workloads.services(component, specs)
        site = await self._records.site(component.environment)
        parent = None
        if site is not None:
            owner = site.spec.tenant
            parent = routes.parent(self._installation, component.environment, owner)
        given = await self._records.given(component)
        return live_properties(objects, bounds, maps, secrets, services, parent, given) or None

    @reading
    async def authors(self, component: SurfaceComponent, revision: int) -> Mapping[str, str] | None:
        traffic = await self._traffic.read()
        objects = await self._live.component(component, is_routed=traffic.is_there)
        found = {applied_spec(each).revision: each for each in objects.workloads}
        workload = found.get(revision)
        return None if workload is None else authors(workload, objects.route)

    @reading
    async def observe(self, component: SurfaceComponent) -> LiveComponent | None:
        traffic = await self._traffic.read()
        record = await self._records.site(component.environment)
        if record is None or not record.is_wanted:
            return None
        objects = await self._reader(component.environment).component(
            component, is_routed=traffic.is_there
        )
        url = await self._sites.url(record, traffic)
        return live_component(objects, url, self.clock.now())

    @reading
    async def inventory(self, environment: EnvironmentId) -> Inventory | None:
        if self._offers.last is None:  # a plan asks `capabilities` again after this
            await self._read_offers()
        traffic = await self._traffic.read()
        record = await self._records.site(environment)
        if record is None or not record.is_wanted:
            return None
        url = await self._sites.url(record, traffic)
        now = self.clock.now()
        found = await self._reader(environment).environment(environment, is_routed=traffic.is_there)
        live, unread = [], []
        for objects in found:
            service = objects.component.service
            labels = f"has not the labels of a revision any more ({REVISION}, ...)"
            unread += [Unread(f"{stray} {labels}", service) for stray in objects.strays]
            try:
                live.append(live_component(objects, url, now))
            except Unreadable as damaged:
                unread.append(Unread(str(damaged), service))
        return Inventory(tuple(each for each in live if each is not None), tuple(unread))

    @reading
    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> tuple[LiveProof, ...] | None:
        objects = await self._live.component(component, is_routed=False)
        if not objects.workloads:
            return None
        specs = [(applied_spec(workload), workload) for workload in objects.workloads]
        config_maps = await live_config_maps(
            self._api, self._installation, [spec for spec, _ in specs]
        )
        given = await self._records.given(component)
        asked, proofs = [], []
        for spec, workload in specs:
            if revision in {None, spec.revision}:
                pods = pods_to_prove(workload, spec, objects.pods)
                asked += [(pod, spec, workload) for pod in pods]
                if not pods and (spec.schedule is not None or is_true(workload, "Complete")):
                    config_map = config_maps.get(spec.revision)
                    access, now = given.get(spec.revision), self.clock.now()
                    proofs.append(prove_template(workload, spec, config_map, now, access))

        async def prove_one(one: tuple[Object, RevisionSpec, Object]) -> LiveProof:
            pod, spec, workload = one
            config_map, now = config_maps.get(spec.revision), self.clock.now()
            others = set_by_others(workload)
            access = given.get(spec.revision)
            return await prove_pod(self._api, pod, spec, config_map, now, others, access)

        proofs += await bounded_map(asked, prove_one, at_once=NAMESPACE_AT_ONCE)
        return tuple(sorted(proofs, key=lambda proof: (proof.revision, proof.instance)))

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        live = await self.observe(component)
        if not isinstance(live, Present):
            return live
        if live.value.endpoint is None:
            return Absent()
        if self._counters is None:
            return Unknown("nobody named the counters of the cluster's gateway")
        try:
            return Present(await self._counters.read(self._installation, component))
        except Unavailable as failed:
            return Unknown(str(failed))

    @reading
    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> tuple[str, ...] | None:
        objects = await self._live.component(component, is_routed=False)
        pods = pods_of_instance(objects, instance)
        return await logs.tail(self._api, pods[-1], tail) if pods else None

    @reading
    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> tuple[str, ...] | None:
        pods = (await self._live.component(component, is_routed=False)).pods
        of = [each["metadata"] for each in pods]
        names = [each["name"] for each in of if each["labels"][REVISION] == str(revision)]
        return tuple(sorted(names)) or None
