"""The sites of environments: their namespaces, and the Gateway through which requests come in."""

from dataclasses import replace
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.surfaces.aks import routes
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.cluster_boundaries import ClusterBoundaries
from shared.surfaces.aks.instances import condition, is_stopping
from shared.surfaces.aks.kinds import DEPLOYMENTS, GATEWAYS, NAMESPACES, PODS
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.records import Records, SiteRecord
from shared.surfaces.aks.server_side_apply import delete, get_undeleted, put
from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.aks.waits import ENDS_WITHIN_S, wait_until
from shared.surfaces.errors import TrafficUnavailable
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import SiteSpec

GATEWAY_PORT: Final = 80


@dataclass(frozen=True)
class ClusterSites:
    """The sites of one installation; *port* is where their Gateways listen."""

    api: ClusterApi
    installation: Installation
    records: Records
    boundaries: ClusterBoundaries
    namespaces: Namespaces
    clock: Clock
    port: int = GATEWAY_PORT

    async def ensure(self, spec: SiteSpec, fence: Fence, traffic: TrafficLayer) -> None:
        """Create or update the site.

        Raises:
            StaleFence, WriteConflict, ObjectRefused, FieldTaken, NamespaceTaken.
            Unavailable: also while what was there before is being deleted.
        """
        await self.records.fenced_site(spec.environment, fence, spec)
        place = self.installation.namespace(spec.environment, spec.tenant)
        await self.namespaces.find(spec.environment, spec.tenant)
        found = None
        if traffic.gateway_class is not None:
            found = await get_undeleted(self.api, GATEWAYS, routes.GATEWAY, place)
        await self.records.fenced_site(spec.environment, fence, spec)
        await self.boundaries.ensure_of_owner(spec.environment, spec.tenant)
        await self.boundaries.ensure_capacity(spec, fence)
        if traffic.gateway_class is None:
            return
        gateway = routes.gateway(
            self.installation, spec.environment, spec.tenant, traffic.gateway_class, self.port
        )
        await self.records.fenced_site(spec.environment, fence, spec)
        await put(self.api, GATEWAYS, gateway, found)

        async def is_programmed() -> bool:
            return _is_programmed(await self._gateway(spec))

        message = f"the Gateway of {spec.environment} has no address yet"
        await wait_until(is_programmed, self.clock, message, error=TrafficUnavailable)

    async def add_gateway(self, environment: EnvironmentId, traffic: TrafficLayer) -> None:
        """Make the Gateway of a site that is older than the traffic layer of the cluster.

        Raises:
            WriteConflict, ObjectRefused, NamespaceTaken, Unavailable.
        """
        if traffic.gateway_class is None:
            return
        record = await self.records.site(environment)
        if record is None or not record.is_wanted:
            return
        tenant = record.spec.tenant
        place = self.installation.namespace(environment, tenant)
        await self.namespaces.find(environment, tenant)
        if await get_undeleted(self.api, GATEWAYS, routes.GATEWAY, place) is None:
            gateway = routes.gateway(
                self.installation, environment, tenant, traffic.gateway_class, self.port
            )
            await put(self.api, GATEWAYS, gateway, None)

    async def read(self, environment: EnvironmentId, traffic: TrafficLayer) -> Site | None:
        record = await self.records.site(environment)
        if record is None or not record.is_wanted:
            return None
        place = self.installation.namespace(environment, record.spec.tenant)
        namespace = await self.api.get(NAMESPACES, place)
        if namespace is None or not await self.namespaces.is_ours(environment, namespace):
            return Site(environment, "", False, record.spec.facts, record.token)
        capacity = await self.boundaries.read_capacity(record.spec)
        if not traffic.is_there:
            found = Site(environment, "", True, record.spec.facts, record.token)
        else:
            found = site(record, await self._gateway(record.spec))
        return replace(found, capacity=capacity)

    async def url(self, record: SiteRecord, traffic: TrafficLayer) -> str:
        """Return the public URL of a site; empty while it has none."""
        return url_of(await self._gateway(record.spec)) if traffic.is_there else ""

    async def delete(self, environment: EnvironmentId, fence: Fence) -> None:
        """Delete the namespaces of the site; return when no pod is left in them.

        Raises:
            StaleFence, WriteConflict, Unavailable.
            NamespaceTaken: none was ever recorded, and somebody made one, or we did before uids
                were recorded: then its pods run.
        """
        record = await self.records.fenced_site(environment, fence, None)
        if record is None:
            return
        labels = self.installation.of_environment(environment)
        namespaces, _ = await self.api.list_all(NAMESPACES, labels, keep=lambda each: each)
        ours = {
            each["metadata"]["name"]: each
            for each in namespaces
            if await self.namespaces.is_ours(environment, each)
        }
        if not record.namespaces:
            await self.namespaces.find(environment, record.spec.tenant)
        for namespace in ours.values():
            await self.records.fenced_site(environment, fence, None)
            await delete(self.api, NAMESPACES, namespace)

        async def is_empty() -> bool:
            for kind in (DEPLOYMENTS, PODS):
                found, _ = await self.api.list_all(kind, labels, keep=lambda each: each["metadata"])
                of_ours = [each for each in found if each["namespace"] in ours]
                if any(self.installation.component_of(environment, each) for each in of_ours):
                    return False
            return True

        message = f"pods of {environment} are still stopping"
        await wait_until(is_empty, self.clock, message, ENDS_WITHIN_S)

    async def _gateway(self, spec: SiteSpec) -> Object | None:
        namespace = self.installation.namespace(spec.environment, spec.tenant)
        return await self.api.get(GATEWAYS, routes.GATEWAY, namespace)


def site(record: SiteRecord, gateway: Object | None) -> Site:
    return Site(
        record.spec.environment,
        url_of(gateway),
        _is_programmed(gateway),
        record.spec.facts,
        record.token,
    )


def url_of(gateway: Object | None) -> str:
    """Return the URL at which *gateway* takes requests; empty while it has no address."""
    addresses = ((gateway or {}).get("status") or {}).get("addresses") or ()
    if gateway is None or not addresses:
        return ""
    port = gateway["spec"]["listeners"][0]["port"]
    place = addresses[0]["value"] if port == GATEWAY_PORT else f"{addresses[0]['value']}:{port}"
    return f"http://{place}/"


def _is_programmed(gateway: Object | None) -> bool:
    if gateway is None:
        return False
    programmed = condition(gateway, "Programmed")
    generation = gateway["metadata"].get("generation")
    return (
        not is_stopping(gateway)
        and programmed.get("status") == "True"
        and programmed.get("observedGeneration") == generation
        and bool(url_of(gateway))
    )
