"""Reads what the cluster has of a component or an environment, current as of the call."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId
from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.jobs import is_run
from shared.surfaces.aks.kinds import CONFIG_MAPS, CRON_JOBS, DEPLOYMENTS, JOBS, PODS, ROUTES, Kind
from shared.surfaces.aks.names import RECORD, REVISION, SPEC, Installation, component_name
from shared.surfaces.aks.observation import ComponentObjects
from shared.surfaces.aks.records import Records, Unreadable, component_of
from shared.surfaces.spec import SurfaceComponent


def trimmed(found: Object) -> Object:
    """Return *found* without what nobody reads here: who owns which field is half of an object."""
    found["metadata"].pop("managedFields", None)
    return found


def _whole(found: Object) -> Object:
    return found


@dataclass(frozen=True)
class LiveObjects:
    """Reads past any cache, for writes: each list is of one component."""

    api: ClusterApi
    installation: Installation
    records: Records

    async def component(self, component: SurfaceComponent, *, is_routed: bool) -> ComponentObjects:
        """Return what the cluster has of *component*; its workloads say who set which field."""
        namespace = self.installation.namespace(component.environment, component.tenant)
        labels = self.installation.of_component(component)
        deployments, jobs, cron_jobs, pods, record, route = await asyncio.gather(
            self._listed(DEPLOYMENTS, labels, namespace, keep=_whole),
            self._listed(JOBS, labels, namespace, keep=_whole),
            self._listed(CRON_JOBS, labels, namespace, keep=_whole),
            self._listed(PODS, labels, namespace),
            self.records.component(component),
            self._route(component, namespace, is_routed=is_routed),
        )
        return ComponentObjects(
            component,
            (*deployments, *cron_jobs, *(job for job in jobs if not is_run(job))),
            tuple(filter(is_of_a_revision, pods)),
            record,
            route,
            is_routed,
            runs=tuple(filter(is_run, jobs)),
        )

    async def environment(
        self, environment: EnvironmentId, *, is_routed: bool
    ) -> list[ComponentObjects]:
        """Return each component of *environment* that has anything on the cluster."""
        labels = self.installation.of_environment(environment)
        recorded = {**labels, RECORD: "component"}
        deployments, jobs, cron_jobs, pods, routes, records = await asyncio.gather(
            self._listed(DEPLOYMENTS, labels),
            self._listed(JOBS, labels),
            self._listed(CRON_JOBS, labels),
            self._listed(PODS, labels),
            self._listed(ROUTES, labels) if is_routed else _nothing(),
            self._listed(CONFIG_MAPS, recorded, self.installation.name),
        )
        return grouped(
            self.installation,
            environment,
            {
                DEPLOYMENTS: deployments,
                JOBS: jobs,
                CRON_JOBS: cron_jobs,
                PODS: pods,
                ROUTES: routes,
                CONFIG_MAPS: records,
            },
            is_routed=is_routed,
        )

    async def _route(
        self, component: SurfaceComponent, namespace: str, *, is_routed: bool
    ) -> Object | None:
        if not is_routed:
            return None
        return await self.api.get(ROUTES, component_name(component.module), namespace)

    async def _listed(
        self,
        kind: Kind,
        labels: Mapping[str, str],
        namespace: str | None = None,
        *,
        keep: Callable[[Object], Object] = trimmed,
    ) -> tuple[Object, ...]:
        found, _ = await self.api.list_all(kind, labels, namespace=namespace, keep=keep)
        return tuple(found)


async def _nothing() -> tuple[Object, ...]:
    return ()


def grouped(
    installation: Installation,
    environment: EnvironmentId,
    found: Mapping[Kind, tuple[Object, ...]],
    *,
    is_routed: bool,
) -> list[ComponentObjects]:
    """Return the objects of each component of *environment*, those in other namespaces left out."""
    parts: dict[SurfaceComponent, dict[Kind, list[Object]]] = defaultdict(lambda: defaultdict(list))
    strays: dict[SurfaceComponent, list[str]] = defaultdict(list)
    for kind in (*revisions.WORKLOADS, PODS, ROUTES):
        for each in found.get(kind, ()):
            component = installation.component_of(environment, each["metadata"])
            if component is not None and (kind is not PODS or is_of_a_revision(each)):
                parts[component][kind].append(each)
            elif owner := component or _written_owner(installation, environment, kind, each):
                strays[owner].append(f"{kind.name} {each['metadata']['name']}")
    records = {
        each["metadata"]["name"]: each
        for each in found.get(CONFIG_MAPS, ())
        if each["metadata"]["namespace"] == installation.name
    }
    return [
        replace(
            _objects(
                component,
                parts[component],
                records.get(installation.component_record(component)),
                is_routed=is_routed,
            ),
            strays=tuple(strays[component]),
        )
        for component in sorted({*parts, *strays})
    ]


def is_of_a_revision(pod: Object) -> bool:
    """Return whether *pod* has the label of a revision; its Deployment lets go of others."""
    return str((pod["metadata"].get("labels") or {}).get(REVISION, "")).isdecimal()


def _written_owner(
    installation: Installation, environment: EnvironmentId, kind: Kind, found: Object
) -> SurfaceComponent | None:
    """Return the component that the annotated spec of *found* names, if it is in its namespace."""
    of_pods = revisions.template_of(found) if kind in revisions.WORKLOADS else found
    text = (of_pods["metadata"].get("annotations") or {}).get(SPEC)
    try:
        component = revisions.read(text, 0, "").component
    except Unreadable:
        return None
    place = installation.namespace(environment, component.tenant)
    is_there = (component.environment, found["metadata"]["namespace"]) == (environment, place)
    return component if is_there else None


def _objects(
    component: SurfaceComponent,
    of_kind: Mapping[Kind, list[Object]],
    config_map: Object | None,
    *,
    is_routed: bool,
) -> ComponentObjects:
    record, damage = None, ""
    try:
        record = None if config_map is None else component_of(config_map)
    except Unreadable as damaged:
        damage = str(damaged)
    workloads = [each for kind in revisions.WORKLOADS for each in of_kind.get(kind, ())]
    return ComponentObjects(
        component,
        tuple(each for each in workloads if not is_run(each)),
        tuple(of_kind.get(PODS, ())),
        record,
        next(iter(of_kind.get(ROUTES, ())), None),
        is_routed,
        damage,
        runs=tuple(filter(is_run, of_kind.get(JOBS, ()))),
    )
