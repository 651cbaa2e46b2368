"""The boundaries of tenants: each a namespace with what closes it."""

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.boundary_objects import (
    ACCOUNTS,
    CAPACITY,
    LIMITS,
    NAME,
    POLICIES,
    QUOTAS,
    BoundaryObjects,
    capacity_of,
    counted_capacity,
    is_counted,
    wanted,
    wanted_capacity,
)
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import NAMESPACES, Kind
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.records import Openings, Records
from shared.surfaces.aks.server_side_apply import delete, put, refused
from shared.surfaces.aks.waits import ENDS_WITHIN_S, wait_until
from shared.surfaces.boundaries import GATEWAYS, WAY_TO_PLATFORM, Boundary, BoundarySpec
from shared.surfaces.errors import SiteMissing
from shared.surfaces.spec import Resources, SiteSpec


@dataclass(frozen=True)
class ClusterBoundaries:
    """The boundaries of one installation.

    Requests come from *gateway_networks*, and from namespaces with the label `GATEWAY_LABEL`.
    """

    api: ClusterApi
    installation: Installation
    records: Records
    namespaces: Namespaces
    clock: Clock
    gateway_networks: tuple[str, ...] = ()
    access: PlatformAccess | None = None
    """Of pods that follow their configuration; with it, where they may go for that."""

    @property
    def _openings(self) -> Openings:
        return Openings(None if self.access is None else self.access.way, self.gateway_networks)

    async def ensure(self, spec: BoundarySpec, fence: Fence) -> None:
        """As `Boundaries.ensure_boundary`; returns when the cluster counts by its quota.

        Raises also WriteConflict, FieldTaken, ObjectRefused, Unavailable.
        """
        site = await self.records.site(spec.environment)
        if site is None or not site.is_wanted:
            raise SiteMissing(f"{spec.environment} has no site here: provision it first")
        await self._record(spec, fence)
        await self._apply(spec, fence)

        async def is_ready() -> bool:
            boundary = await self.read(spec.environment, spec.tenant)
            return boundary is not None and boundary.is_ready

        message = f"the boundary of {spec.tenant} in {spec.environment} is not in force yet"
        await wait_until(is_ready, self.clock, message)

    async def ensure_of_owner(self, environment: EnvironmentId, tenant: TenantId) -> None:
        """Give the owner of a site what it lacks of a boundary without a quota.

        Raises:
            WriteConflict, ObjectRefused, Unavailable.
        """
        objects = await self._objects(environment, tenant)
        spec = BoundarySpec(environment, tenant)
        manifests = wanted(spec, self.installation, self.gateway_networks, self.access)
        there = {
            NAMESPACES: objects is not None,
            POLICIES: objects is not None and objects.policy is not None,
            ACCOUNTS: objects is not None and objects.account is not None,
        }
        for kind, is_there in there.items():
            manifest = manifests[kind]
            if not is_there and manifest is not None:
                await self._put(kind, environment, manifest, None)

    async def ensure_capacity(self, spec: SiteSpec, fence: Fence) -> None:
        """Hold the owner of a site to its capacity; return when the cluster counts by it.

        The quota of a binding, which has a token of its own, stays as it is.

        Raises:
            StaleFence, WriteConflict, FieldTaken, ObjectRefused, Unavailable.
        """
        namespace = self.installation.namespace(spec.environment, spec.tenant)
        manifests = wanted_capacity(spec, self.installation)
        for kind, manifest in manifests.items():
            found = await self.api.get(kind, CAPACITY, namespace)
            if manifest is None and found is None:
                continue
            await self.records.fenced_site(spec.environment, fence, spec)
            if manifest is not None:
                await self._put(kind, spec.environment, manifest, found)
            elif found is not None:
                await delete(self.api, kind, found)
        if manifests[QUOTAS] is None:
            return

        async def is_in_force() -> bool:
            quota = await self.api.get(QUOTAS, CAPACITY, namespace)
            return quota is not None and is_counted(quota)

        message = f"the capacity of {spec.environment} is not in force yet"
        await wait_until(is_in_force, self.clock, message)

    async def read_capacity(self, spec: SiteSpec) -> Resources:
        """Return what the cluster holds the owner of the site to, beside its binding."""
        namespace = self.installation.namespace(spec.environment, spec.tenant)
        return capacity_of(await self.api.get(QUOTAS, CAPACITY, namespace))

    async def read(self, environment: EnvironmentId, tenant: TenantId) -> Boundary | None:
        objects = await self._objects(environment, tenant)
        if objects is None:
            return None
        record = await self.records.boundary(environment, tenant)
        place = objects.namespace["metadata"]["name"]
        lacks = {WAY_TO_PLATFORM: "missing"} if objects.lacks_way(self.access) else {}
        if objects.policy is not None and not objects.has_gateways(self.gateway_networks):
            lacks[GATEWAYS] = "others"
        capacity = counted_capacity(
            await self.api.get(QUOTAS, CAPACITY, place), await self.api.get(LIMITS, CAPACITY, place)
        )
        return Boundary(
            environment,
            tenant,
            place,
            objects.is_in_force(self.gateway_networks, self.access, record.written),
            objects.used(),
            {**objects.properties(), **lacks},
            record.token,
            capacity,
        )

    async def delete(self, environment: EnvironmentId, tenant: TenantId, fence: Fence) -> None:
        """As `Boundaries.delete_boundary`; returns when nothing of the namespace is left.

        Raises also WriteConflict, ObjectRefused, Unavailable.
        """
        await self.records.fenced_boundary(environment, tenant, fence, Openings(None, ()))
        name = self.installation.namespace(environment, tenant)
        found = await self.api.get(NAMESPACES, name)
        if found is None or not await self.namespaces.is_ours(environment, found):
            return
        await delete(self.api, NAMESPACES, found)

        async def is_gone() -> bool:
            left = await self.api.get(NAMESPACES, name)
            return left is None or left["metadata"]["uid"] != found["metadata"]["uid"]

        message = f"the namespace {name} is still ending: its pods have time to stop"
        await wait_until(is_gone, self.clock, message, ENDS_WITHIN_S)

    async def _apply(self, spec: BoundarySpec, fence: Fence) -> None:
        namespace = self.installation.namespace(spec.environment, spec.tenant)
        manifests = wanted(spec, self.installation, self.gateway_networks, self.access)
        found = {
            kind: await self.namespaces.find(spec.environment, spec.tenant)
            if kind is NAMESPACES
            else await self.api.get(kind, NAME, namespace)
            for kind in manifests
        }
        for kind, manifest in manifests.items():
            await self._record(spec, fence)
            if manifest is not None:
                await self._put(kind, spec.environment, manifest, found[kind])
            elif (unwanted := found[kind]) is not None:
                await delete(self.api, kind, unwanted)
            if kind is POLICIES:
                await self._record(spec, fence, is_written=True)

    async def _record(self, spec: BoundarySpec, fence: Fence, *, is_written: bool = False) -> None:
        await self.records.fenced_boundary(
            spec.environment, spec.tenant, fence, self._openings, is_written=is_written
        )

    async def _objects(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> BoundaryObjects | None:
        name = self.installation.namespace(environment, tenant)
        namespace = await self.api.get(NAMESPACES, name)
        if namespace is None or not await self.namespaces.is_ours(environment, namespace):
            return None
        kinds = (QUOTAS, LIMITS, POLICIES, ACCOUNTS)
        found = [await self.api.get(kind, NAME, name) for kind in kinds]
        return BoundaryObjects(namespace, *found)

    async def _put(
        self, kind: Kind, environment: EnvironmentId, manifest: Object, found: Object | None
    ) -> None:
        """Write *manifest* over *found*; what is left out of it later goes, as it was applied."""
        if found is not None:
            await put(self.api, kind, manifest, found)
            return
        if kind is NAMESPACES:
            await self.namespaces.create(environment, manifest)
            return
        try:
            await self.api.apply(kind, manifest)
        except ApiRefusal as refusal:
            raise refused(refusal, f"{kind.name} {manifest['metadata']['name']}") from refusal
