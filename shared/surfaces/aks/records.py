"""What the platform remembers of sites and components: ConfigMaps in a namespace of its own.

Each has the highest fencing token that wrote. It is written, at the version that was read, before
anything of the site or the component is: of two writers one is overtaken and reads again. Records
stay when a site is deleted, so that an old token is refused after that too. Tenants cannot write
there.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import CONFIG_MAPS
from shared.surfaces.aks.names import ENVIRONMENT_ID, RECORD, Installation
from shared.surfaces.aks.platform_access import PlatformAccess, PlatformWay
from shared.surfaces.aks.server_side_apply import WriteConflict, refused
from shared.surfaces.errors import ClusterNotPrepared, SiteMissing
from shared.surfaces.rules import check_fence
from shared.surfaces.spec import SiteSpec, SurfaceComponent

_DOCUMENT = "record.json"


@dataclass(frozen=True)
class SiteRecord:
    """`is_wanted` is False while the site is being deleted and after; its token stays forever.

    `namespaces` has the uid of each namespace that the platform made for it last.
    """

    spec: SiteSpec
    token: int = 0
    is_wanted: bool = True
    namespaces: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ComponentRecord:
    """`weights` are those that were set last: of a worker, which has no route, those in force.

    `is_routed` says that a route was to have them: else the Service has. `given` is with what the
    pods of each revision follow their configuration: who edits a pod cannot edit it here.
    """

    component: SurfaceComponent
    token: int = 0
    weights: Mapping[int, int] = field(default_factory=dict)
    is_routed: bool = False
    given: Mapping[int, PlatformAccess] = field(default_factory=dict)


@dataclass(frozen=True)
class Openings:
    """What the policy of a boundary opens for the platform, beside what its tenant asks for.

    *way* is the one out to the platform, *gateways* the networks that requests come from.
    """

    way: PlatformWay | None
    gateways: tuple[str, ...]


@dataclass(frozen=True)
class BoundaryRecord:
    """That a tenant has, or had, a boundary in the environment.

    *way* and *gateways* are the openings that its policy has, or is to get. Until that is written
    for certain, *earlier* are those of which one may still be in force.
    """

    environment: EnvironmentId
    tenant: TenantId
    token: int = 0
    way: PlatformWay | None = None
    gateways: tuple[str, ...] = ()
    earlier: tuple[Openings, ...] = ()

    @property
    def written(self) -> tuple[Openings, ...]:
        """All that the platform may have written last."""
        return (Openings(self.way, self.gateways), *self.earlier)

    def to_get(self, openings: Openings) -> "BoundaryRecord":
        """Return the record before a policy with *openings* is written."""
        earlier = tuple(each for each in self.written if each != openings)
        return replace(self, way=openings.way, gateways=openings.gateways, earlier=earlier)


_SITES: TypeAdapter[SiteRecord] = TypeAdapter(SiteRecord)
_COMPONENTS: TypeAdapter[ComponentRecord] = TypeAdapter(ComponentRecord)
_BOUNDARIES: TypeAdapter[BoundaryRecord] = TypeAdapter(BoundaryRecord)


class Unreadable(Exception):
    """An object of the platform is not what the platform wrote; the message says which."""


def site_of(found: Object) -> SiteRecord:
    """Return the record in a ConfigMap. Raises Unreadable."""
    with _unreadable(found):
        return _SITES.validate_json(found["data"][_DOCUMENT])


def component_of(found: Object) -> ComponentRecord:
    """Return the record in a ConfigMap. Raises Unreadable."""
    with _unreadable(found):
        return _COMPONENTS.validate_json(found["data"][_DOCUMENT])


def _boundary_of(found: Object) -> BoundaryRecord:
    with _unreadable(found):
        return _BOUNDARIES.validate_json(found["data"][_DOCUMENT])


@contextmanager
def _unreadable(found: Object) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValidationError, Invalid) as damaged:
        name = found["metadata"]["name"]
        raise Unreadable(f"the ConfigMap {name} is no record of the platform") from damaged


class Records:
    """The records of one installation; each write is at the version that was read."""

    def __init__(self, api: ClusterApi, installation: Installation) -> None:
        self._api = api
        self._installation = installation

    async def site(self, environment: EnvironmentId) -> SiteRecord | None:
        return (await self.site_and_uid(environment))[0]

    async def owner(self, environment: EnvironmentId) -> TenantId:
        """Return the tenant of the site. Raises SiteMissing."""
        return (await self._wanted_site(environment)).spec.tenant

    async def _wanted_site(self, environment: EnvironmentId) -> SiteRecord:
        site = await self.site(environment)
        if site is None or not site.is_wanted:
            raise SiteMissing(f"{environment} has no site here: provision it first")
        return site

    async def site_and_uid(self, environment: EnvironmentId) -> tuple[SiteRecord | None, str]:
        """Return the record, and the uid of its ConfigMap; None and no uid where there is none."""
        found = await self._get(self._installation.site_record(environment))
        return (None, "") if found is None else (site_of(found), found["metadata"]["uid"])

    async def fenced_site(
        self, environment: EnvironmentId, fence: Fence, spec: SiteSpec | None
    ) -> SiteRecord | None:
        """Record *fence*, and *spec* as what is wanted: None for a site that is to be deleted.

        None where there has never been a site, and none is wanted.

        Raises:
            StaleFence, WriteConflict, ClusterNotPrepared, Unavailable.
        """
        name = self._installation.site_record(environment)
        found = await self._get(name)
        before = None if found is None else site_of(found)
        if before is None and spec is None:
            return None
        token = check_fence(environment, fence, before.token if before else 0)
        wanted = spec or (before.spec if before else None)
        assert wanted is not None, "one of them is there"
        namespaces = before.namespaces if before else {}
        after = SiteRecord(wanted, token, is_wanted=spec is not None, namespaces=namespaces)
        if after != before:
            await self._write(name, "site", environment, _SITES.dump_python(after), found)
        return after

    async def note_namespace(self, environment: EnvironmentId, namespace: str, uid: str) -> None:
        """Record the *uid* of a *namespace* that the platform made for a site.

        Raises:
            WriteConflict, Unavailable.
        """
        name = self._installation.site_record(environment)
        found = await self._get(name)
        assert found is not None, "a site is recorded before it has a namespace"
        before = site_of(found)
        after = replace(before, namespaces={**before.namespaces, namespace: uid})
        if after != before:
            await self._write(name, "site", environment, _SITES.dump_python(after), found)

    async def boundary(self, environment: EnvironmentId, tenant: TenantId) -> BoundaryRecord:
        """Return what is remembered of the boundary: the token 0 where nobody wrote it."""
        found = await self._get(self._installation.boundary_record(environment, tenant))
        return BoundaryRecord(environment, tenant) if found is None else _boundary_of(found)

    async def fenced_boundary(
        self,
        environment: EnvironmentId,
        tenant: TenantId,
        fence: Fence,
        openings: Openings,
        *,
        is_written: bool = False,
    ) -> None:
        """Record *fence* as that of the boundary, and the *openings* that its policy is to get.

        *is_written*: it has them, so no earlier ones are in force.

        Raises:
            StaleFence, WriteConflict, Unavailable.
        """
        name = self._installation.boundary_record(environment, tenant)
        found = await self._get(name)
        before = BoundaryRecord(environment, tenant) if found is None else _boundary_of(found)
        token = check_fence(f"{environment}/{tenant}", fence, before.token)
        after = replace(before.to_get(openings), token=token)
        if is_written:
            after = replace(after, earlier=())
        if after != before or found is None:
            value = _BOUNDARIES.dump_python(after)
            await self._write(name, "boundary", environment, value, found)

    async def component(self, component: SurfaceComponent) -> ComponentRecord | None:
        found = await self._get(self._installation.component_record(component))
        return None if found is None else component_of(found)

    async def given(self, component: SurfaceComponent) -> Mapping[int, PlatformAccess]:
        """Return what the pods of each revision of *component* follow with."""
        record = await self.component(component)
        return {} if record is None else record.given

    async def fenced(
        self,
        component: SurfaceComponent,
        fence: Fence,
        weights: Mapping[int, int] | None = None,
        *,
        is_routed: bool = False,
        given: Mapping[int, PlatformAccess | None] = MappingProxyType({}),
    ) -> ComponentRecord:
        """Record *fence*, with the *weights* that are to be in force if they change.

        *is_routed*: by a route. *given* is that of the revisions of which it changes.

        Raises:
            SiteMissing, StaleFence, WriteConflict, Unavailable.
        """
        await self._wanted_site(component.environment)
        name = self._installation.component_record(component)
        found = await self._get(name)
        before = component_of(found) if found else ComponentRecord(component)
        after = replace(
            before,
            token=check_fence(component.module, fence, before.token),
            weights=before.weights if weights is None else weights,
            is_routed=before.is_routed if weights is None else is_routed,
            given={
                revision: each
                for revision, each in {**before.given, **given}.items()
                if each is not None
            },
        )
        if after != before or found is None:
            value = _COMPONENTS.dump_python(after)
            await self._write(name, "component", component.environment, value, found)
        return after

    async def _get(self, name: str) -> Object | None:
        return await self._api.get(CONFIG_MAPS, name, self._installation.name)

    async def _write(
        self, name: str, kind: str, environment: EnvironmentId, value: Any, found: Object | None
    ) -> None:
        labels = {**self._installation.of_environment(environment), RECORD: kind}
        metadata: Object = {
            "name": name,
            "namespace": self._installation.name,
            "labels": labels,
            "annotations": {ENVIRONMENT_ID: environment},
        }
        manifest = {
            "apiVersion": CONFIG_MAPS.version,
            "kind": CONFIG_MAPS.name,
            "metadata": metadata,
            "data": {_DOCUMENT: json.dumps(value, sort_keys=True, default=dict)},
        }
        try:
            if found is None:
                await self._api.create(CONFIG_MAPS, manifest)
            else:
                metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
                await self._api.replace(CONFIG_MAPS, manifest)
        except ApiRefusal as refusal:
            problem = refused(refusal, f"ConfigMap {name}")
            if isinstance(
                problem, WriteConflict
            ) and f'namespaces "{self._installation.name}"' in str(problem):
                raise ClusterNotPrepared(
                    f"the cluster has no namespace {self._installation.name} for the platform:"
                    " kubectl apply --server-side -f deploy/kubernetes/rbac.yaml, once for each"
                    " cluster, also after each `runtimectl cluster up`"
                ) from refusal
            raise problem from refusal
