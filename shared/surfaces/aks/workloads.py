"""Writes the revisions of components and their weights; each write may be killed and repeated.

Every method reads all that it may write, then looks at its fence, then writes each object at the
version that it read, and creates what was absent. Who writes after a successor has either read what
the successor wrote, so that the fence is stale, or has not, so that the version is. Then
WriteConflict is raised, and the method called again from its first read. The fence is looked at
again before each further object: one that was absent has no version to write at.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.kernel.fence import Fence
from shared.surfaces.aks import revisions, routes
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.boundary_objects import ACCOUNTS, NAME, acts_as
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.config_maps import data_of
from shared.surfaces.aks.instances import has_ended, is_stopping, oldest_first
from shared.surfaces.aks.kinds import CRON_JOBS, DEPLOYMENTS, PODS, ROUTES, SERVICES, Kind
from shared.surfaces.aks.live_objects import LiveObjects
from shared.surfaces.aks.names import (
    PREFIX,
    Installation,
    component_name,
    digest_of,
    revision_name,
)
from shared.surfaces.aks.namespaces import Namespaces
from shared.surfaces.aks.observation import (
    ComponentObjects,
    applied_spec,
    live_revisions,
    weights_in_force,
)
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.records import Records
from shared.surfaces.aks.restarts import restart
from shared.surfaces.aks.scalers import owner_of
from shared.surfaces.aks.secret_classes import class_spec, class_words, live_class
from shared.surfaces.aks.server_side_apply import WriteConflict, delete, put, refused
from shared.surfaces.aks.traffic_layer import TrafficLayer
from shared.surfaces.aks.waits import wait_until
from shared.surfaces.errors import (
    BadArtifact,
    NotOwner,
    RevisionMissing,
    SiteMissing,
    TrafficUnavailable,
)
from shared.surfaces.rules import (
    WHOLE,
    check_removal,
    check_revision,
    check_scalable,
    check_weights,
)
from shared.surfaces.scaling import ReplicasOwner
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_FIRST_TO_GO: Final = "-1000"


@dataclass(frozen=True)
class Workloads:
    """The workloads of one installation on a cluster."""

    api: ClusterApi
    installation: Installation
    records: Records
    live: LiveObjects
    namespaces: Namespaces
    clock: Clock
    directory: str | None = None
    """Of Entra (tenant id), in which the vaults of tenants are."""
    access: PlatformAccess | None = None
    """What pods follow their configuration with; None: they are given nothing."""

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        """As `Surface.apply`. Raises also WriteConflict, FieldTaken, ObjectRefused, ApiAway."""
        component = spec.component
        if spec.image is None:
            raise BadArtifact(f"AKS runs images, and {component.module} has an archive only")
        data_of(spec)
        await self.records.fenced(component, fence)
        namespace = self.installation.namespace(component.environment, component.tenant)
        place = await self.namespaces.find(component.environment, component.tenant)
        present = await self._workload(component, spec.revision)
        identity = await self.identity(component)
        # A pod acts as one account, and an identity of Azure is that of the tenant's.
        access = self.access if spec.follows_configuration and identity is None else None
        found = {
            kind: await self.api.get(kind, revisions.dependent_name(kind, spec), namespace)
            for kind in revisions.dependent_kinds(spec, access)
        }
        others = await self._with_prefix_of(spec)
        tenant = await self.records.owner(component.environment)
        check_revision(spec, None if present is None else applied_spec(present), others, tenant)
        if present is None and place is None:
            raise SiteMissing(f"{component.tenant} has no boundary here: ensure it first")
        secret_class = self._secret_class(spec, identity)
        account = None if identity is None else NAME
        manifest = revisions.workload(spec, self.installation, account, access)
        if present is not None and owner_of(present) is ReplicasOwner.SURFACE:
            del manifest["spec"]["replicas"]
        if present is not None and spec.schedule is not None:
            manifest["spec"]["suspend"] = present["spec"].get("suspend", False)
        owner = present
        given = {} if access is None else {spec.revision: access.given}
        if owner is None or spec.runs_once is None:
            await self.records.fenced(component, fence, given={spec.revision: None, **given})
            owner = await put(self.api, revisions.kind_of(spec), manifest, present)
        owned = revisions.dependents(spec, self.installation, owner, secret_class, access)
        for kind, dependent in owned:
            await self.records.fenced(component, fence)
            await put(self.api, kind, dependent, found[kind])

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        """As `Surface.scale`. Raises also WriteConflict, ObjectRefused, ApiAway."""
        await self.records.fenced(component, fence)
        present = await self._required(component, revision, fence)
        if owner_of(present) is ReplicasOwner.SURFACE:
            raise NotOwner(
                f"rules of the cluster own the replicas of revision {revision} of"
                f" {component.module}: take them back with set_scaling first"
            )
        before = int(present["spec"].get("replicas", 1))
        if replicas < before:
            await self._mark_surplus(component, revision, replicas)
        if replicas != before:
            await self._merge(DEPLOYMENTS, present, {"spec": {"replicas": replicas}})

    async def restart(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        """As `Restarts.restart`. Raises also WriteConflict, ObjectRefused, ApiAway."""
        await self.records.fenced(component, fence)
        present = await self._required(component, revision, fence)
        await restart(self.api, present, fence)

    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None:
        """As `Schedules.activate_schedule`. Raises also WriteConflict, ObjectRefused, ApiAway."""
        await self.records.fenced(component, fence)
        objects = await self.live.component(component, is_routed=False)
        found = {
            spec.revision: each
            for each in objects.workloads
            if not is_stopping(each) and (spec := applied_spec(each)).schedule is not None
        }
        if revision not in found:
            raise RevisionMissing(f"revision {revision} of {component.module} has no schedule here")
        # The others first: at no moment two start runs.
        for number in sorted(found, key=lambda each: each == revision):
            suspends = number != revision
            if found[number]["spec"].get("suspend", False) != suspends:
                await self.records.fenced(component, fence)
                await self._merge(CRON_JOBS, found[number], {"spec": {"suspend": suspends}})

    async def set_weights(
        self,
        component: SurfaceComponent,
        weights: Mapping[int, int],
        fence: Fence,
        traffic: TrafficLayer,
    ) -> None:
        """As `Surface.set_weights`; and WriteConflict, FieldTaken, ObjectRefused, ApiAway."""
        await self.records.fenced(component, fence)
        await self.namespaces.find(component.environment, component.tenant)
        objects = await self.live.component(component, is_routed=traffic.is_there)
        found = live_revisions(objects, self.clock.now())
        checked = check_weights(component, weights, [revision for _, revision in found])
        specs = [spec for spec, _ in found if spec.port is not None]
        service = await self._service(component)
        if specs and not traffic.is_there and any(each < WHOLE for each in checked.values()):
            raise TrafficUnavailable(f"requests cannot be split: {traffic.lacks}")
        is_routed = bool(specs) and traffic.is_there
        await self.records.fenced(component, fence, checked, is_routed=is_routed)
        if specs:
            await self._open_entrance(objects, service, specs, checked, fence)

    async def remove(
        self, component: SurfaceComponent, revision: int, fence: Fence, traffic: TrafficLayer
    ) -> None:
        """As `Surface.remove`; and WriteConflict, ApiAway, and TrafficUnavailable.

        While the gateway has not taken in the weights, it may still send requests to the revision.
        """
        await self.records.fenced(component, fence)
        objects = await self.live.component(component, is_routed=traffic.is_there)
        has_port = any(applied_spec(each).port is not None for each in objects.workloads)
        weights = weights_in_force(objects, has_port=has_port)
        check_removal(component, revision, weights)
        left = {applied_spec(each).revision: each for each in objects.workloads}
        present = left.pop(revision, None)
        if present is not None and weights and objects.route is not None:
            _require_in_force(objects.route, component)
        found = [(ROUTES, objects.route), (SERVICES, await self._service(component))]
        kind_of_it = DEPLOYMENTS if present is None else revisions.kind_of(applied_spec(present))
        for kind, each in [*([] if left else found), (kind_of_it, present)]:
            if each is not None and not is_stopping(each):
                await self.records.fenced(component, fence, given={revision: None})
                await delete(self.api, kind, each)

    async def _required(self, component: SurfaceComponent, revision: int, fence: Fence) -> Object:
        """Return the revision's Deployment; *fence* was in force after it was read."""
        present = await self._workload(component, revision)
        if present is None:
            raise RevisionMissing(f"revision {revision} of {component.module} does not exist here")
        check_scalable(applied_spec(present))
        await self.records.fenced(component, fence)
        return present

    async def services(
        self, component: SurfaceComponent, specs: Iterable[RevisionSpec]
    ) -> list[Object]:
        """Return the Services of *component* and of the revisions of *specs* that have a port."""
        namespace = self.installation.namespace(component.environment, component.tenant)
        names = [revision_name(component, spec.revision) for spec in specs if spec.port is not None]
        found = [await self._service(component)] if names else []
        found += [await self.api.get(SERVICES, name, namespace) for name in names]
        return [each for each in found if each is not None]

    async def _service(self, component: SurfaceComponent) -> Object | None:
        namespace = self.installation.namespace(component.environment, component.tenant)
        return await self.api.get(SERVICES, component_name(component.module), namespace)

    async def _workload(self, component: SurfaceComponent, revision: int) -> Object | None:
        """Return the Deployment, Job or CronJob of a revision, which has one of them."""
        namespace = self.installation.namespace(component.environment, component.tenant)
        name = revision_name(component, revision)
        for kind in revisions.WORKLOADS:
            found = await self.api.get(kind, name, namespace)
            if found is not None and is_stopping(found):
                raise WriteConflict(f"{kind.name} {name} is still being deleted")
            if found is not None:
                return found
        return None

    async def identity(self, component: SurfaceComponent) -> str | None:
        """Return the client id as which its tenant's pods act; None where they act as nobody."""
        namespace = self.installation.namespace(component.environment, component.tenant)
        return acts_as(await self.api.get(ACCOUNTS, NAME, namespace))

    async def secret_words(self, specs: Iterable[RevisionSpec]) -> Mapping[int, Mapping[str, str]]:
        """Return what the class of each revision gives, by the paths of properties."""
        words = {}
        for spec in specs:
            identity = await self.identity(spec.component) if spec.secrets else None
            live = await live_class(self.api, self.installation, spec)
            # An app that was not told the directory has no word to compare it with.
            directory = self.directory or (live.get("parameters") or {}).get("tenantID", "")
            wanted = class_spec(spec, self.installation, identity or "", directory)
            if wanted is not None:
                words[spec.revision] = class_words(spec, live, wanted)
        return words

    def _secret_class(self, spec: RevisionSpec, identity: str | None) -> Object | None:
        if spec.secrets and (identity is None or self.directory is None):
            raise Invalid(
                f"secrets of {spec.component.module} are read as the identity of its tenant, which"
                " has none here: give its boundary one"
                if identity is None
                else "nobody said in which directory of Entra the vaults are",
                target="/secrets",
            )
        return class_spec(spec, self.installation, identity or "", self.directory or "")

    async def _with_prefix_of(self, spec: RevisionSpec) -> list[RevisionSpec]:
        """Return the specs of the environment's other components with its path prefix."""
        component, prefix = spec.component, spec.path_prefix
        if prefix is None:
            return []
        of_environment = self.installation.of_environment(component.environment)
        labels = {**of_environment, PREFIX: digest_of(prefix)}
        found, _ = await self.api.list_all(DEPLOYMENTS, labels, keep=lambda each: each)
        owners = [
            self.installation.component_of(component.environment, each["metadata"])
            for each in found
        ]
        return [
            applied_spec(each)
            for each, owner in zip(found, owners, strict=True)
            if owner not in {None, component}
        ]

    async def _mark_surplus(
        self, component: SurfaceComponent, revision: int, replicas: int
    ) -> None:
        """Let the newest pods go first: of pods of about one age the cluster takes any.

        Those that stay lose the mark of a write that was killed before it scaled.
        """
        namespace = self.installation.namespace(component.environment, component.tenant)
        labels = self.installation.of_revision(component, revision)
        pods, _ = await self.api.list_all(PODS, labels, namespace=namespace, keep=lambda each: each)
        going_on = oldest_first(pod for pod in pods if not (is_stopping(pod) or has_ended(pod)))
        for place, pod in enumerate(going_on):
            marked = (pod["metadata"].get("annotations") or {}).get(_DELETION_COST)
            if (marked == _FIRST_TO_GO) != (place >= replicas):
                cost = _FIRST_TO_GO if place >= replicas else None
                await self._merge(PODS, pod, {"metadata": {"annotations": {_DELETION_COST: cost}}})

    async def _open_entrance(
        self,
        objects: ComponentObjects,
        present: Object | None,
        specs: list[RevisionSpec],
        weights: Mapping[int, int],
        fence: Fence,
    ) -> None:
        """Send requests by *weights*; returns when the gateway has taken them in.

        *present* is the Service as it was read.
        """
        component = objects.component
        if objects.is_routed:
            owner = await self.records.owner(component.environment)
            manifest = routes.route(self.installation, component, owner, weights, specs)
            await put(self.api, ROUTES, manifest, objects.route)
            await self.records.fenced(component, fence)
        service = routes.service(self.installation, component, weights, specs)
        await put(self.api, SERVICES, service, present)
        if objects.is_routed:
            name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]

            async def is_in_force() -> bool:
                found = await self.api.get(ROUTES, name, namespace)
                return found is not None and routes.is_in_force(found)

            await wait_until(
                is_in_force, self.clock, _not_taken_in(component), error=TrafficUnavailable
            )

    async def _merge(self, kind: Kind, found: Object, patch: Object) -> None:
        """Change a part of *found*, in the state in which it was read."""
        metadata = found["metadata"]
        changed = {**patch.get("metadata", {}), "resourceVersion": metadata["resourceVersion"]}
        try:
            await self.api.merge(
                kind, metadata["name"], metadata["namespace"], {**patch, "metadata": changed}
            )
        except ApiRefusal as refusal:
            raise refused(refusal, f"{kind.name} {metadata['name']}") from refusal


def _require_in_force(route: Object, component: SurfaceComponent) -> None:
    """Raise TrafficUnavailable where requests do not follow *route* as it is now."""
    if not routes.is_in_force(route):
        raise TrafficUnavailable(_not_taken_in(component), retry_after_s=2.0)


def _not_taken_in(component: SurfaceComponent) -> str:
    return f"the gateway has not taken in the weights of {component.module} yet"
