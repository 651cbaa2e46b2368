"""A surface over a cluster in memory: the same contract, for tests and crash sweeps."""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from shared.contracts.isolation import IsolationLayer
from shared.kernel.errors import Invalid
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary, BoundarySpec, boundary_properties
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.data_servers import LiveServer
from shared.surfaces.errors import NotOwner, RevisionMissing, SiteMissing
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.observed_state import (
    Instance,
    Inventory,
    LiveComponent,
    LiveProof,
    LiveRevision,
    Phase,
    Site,
    Unread,
)
from shared.surfaces.properties import Properties, revision_properties
from shared.surfaces.rules import (
    check_fence,
    check_removal,
    check_revision,
    check_scalable,
    check_weights,
    departures,
)
from shared.surfaces.scaling import ReplicasOwner, ScalingRules
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample
from tests.kit.memory_cluster import (
    MemoryBoundary,
    MemoryCluster,
    MemoryComponent,
    MemoryRevision,
    MemorySite,
)

P = ParamSpec("P")
T = TypeVar("T")
CAPABILITIES: Final = Capabilities(
    surface="Memory",
    lacks={
        Feature.NETWORK_POLICY: "it has no network",
        Feature.WORKLOAD_IDENTITY: "it has no identities",
        Feature.TENANT_DATA: "its instances have no files",
        Feature.TENANT_SECRETS: "it has no vault",
        Feature.TENANT_IDENTITY: "it has no identities",
        Feature.ISOLATION_ATTEMPTS: "its instances are no processes",
        Feature.IMAGES: "it runs nothing, and artifacts stand for what it would run",
        Feature.COMMAND_PROBES: "its instances are no processes",
        Feature.STARTUP_PROBES: "its instances start when they are told to",
        Feature.CONFIGURATION_IN_PLACE: "an instance is given its configuration at its start",
        Feature.SECRET_REFERENCES: "it has no vault",
        Feature.POSTGRES_SERVERS: "it runs nothing",
        Feature.VALKEY_SERVERS: "it runs nothing",
        Feature.CPU_LIMIT: "its instances use no CPU",
        Feature.OWN_USER: "its instances are no processes",
        Feature.OWN_PROCESSES: "its instances are no processes",
        Feature.PRIVATE_FILES: "its instances have no files",
        Feature.READ_ONLY_PROGRAM: "its instances have no files",
        Feature.OPEN_FILES_LIMIT: "its instances have no files",
        Feature.PROCESSES_LIMIT: "its instances are no processes",
    },
    replicas_max=50,
)


def _reading(
    read: Callable[Concatenate["MemorySurface", P], T | None],
) -> Callable[Concatenate["MemorySurface", P], Coroutine[Any, Any, Reading[T]]]:
    """Make *read* a read of the port: Absent for None, Unknown while the cluster is unreadable."""

    @wraps(read)
    async def reading(self: "MemorySurface", /, *args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        value = read(self, *args, **kwargs)
        return Absent() if value is None else Present(value)

    return reading


class MemorySurface:
    """One host's access to a `MemoryCluster`; it has no state of its own."""

    def __init__(
        self,
        cluster: MemoryCluster,
        *,
        runs_images: bool = False,
        has_vault: bool = False,
        without: Collection[Feature] = (),
    ) -> None:
        """With *has_vault* an instance has the versions of its unit; nothing resolves a value."""
        self._cluster = cluster
        more = {Feature.IMAGES: runs_images, Feature.SECRET_REFERENCES: has_vault}
        self._lacks = {
            feature: why
            for feature, why in CAPABILITIES.lacks.items()
            if not more.get(feature, False)
        } | dict.fromkeys(without, "it is taken away")

    def capabilities(self) -> Capabilities:
        tries = set() if self._cluster.reached is None else {Feature.ISOLATION_ATTEMPTS}
        lacks = {each: why for each, why in self._lacks.items() if each not in tries}
        return replace(CAPABILITIES, lacks=lacks)

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        site = self._cluster.sites.setdefault(spec.environment, MemorySite())
        site.fence = check_fence(spec.environment, fence, site.fence)
        site.spec = spec

    @_reading
    def read_site(self, environment: EnvironmentId) -> Site | None:
        site = self._cluster.site(environment)
        if site is None or site.spec is None:
            return None
        endpoint = f"http://{site.spec.name}.test/"
        servers = tuple(
            LiveServer(each.name, each.kind, each.port, "Ready") for each in site.spec.servers
        )
        spec = site.spec
        return Site(environment, endpoint, True, spec.facts, site.fence, servers, spec.capacity)

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        site = self._cluster.sites.get(environment)
        if site is not None:
            site.fence = check_fence(environment, fence, site.fence)
            site.spec = None
            for boundary in site.boundaries.values():
                boundary.spec = None
            for component in site.components.values():
                component.revisions.clear()
                component.weights.clear()

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        if spec.secrets and Feature.SECRET_REFERENCES in self._lacks:
            raise Invalid("it has no vault", target="/secrets")
        state = self._fenced(spec.component, fence)
        present = state.revisions.get(spec.revision)
        others = self._specs_of_others(spec.component)
        site = self._cluster.sites[spec.component.environment].spec
        assert site is not None, "it was there for the fence"
        check_revision(spec, present.spec if present else None, others, site.tenant)
        revision = state.revisions.setdefault(spec.revision, MemoryRevision(spec))
        if revision.scaling is not None:
            spec = replace(spec, replicas=revision.spec.replicas)
        revision.spec, revision.removed_at = spec, None
        self._cluster.resize(revision)

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        present = self._revision(component, revision, fence)
        check_scalable(present.spec)
        if present.scaling is not None:
            raise NotOwner(f"rules of the surface own the instances of {component.module}")
        present.spec = replace(present.spec, replicas=replicas)
        self._cluster.resize(present)

    async def set_scaling(
        self,
        component: SurfaceComponent,
        revision: int,
        rules: ScalingRules | None,
        fence: Fence,
    ) -> None:
        present = self._revision(component, revision, fence)
        present.scaling = rules
        self._cluster.resize(present)

    async def restart(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        present = self._revision(component, revision, fence)
        check_scalable(present.spec)
        step = f"{fence.operation}/{fence.step}"
        if present.restarted_by != step:
            present.restarted_by = step
            self._cluster.restart(present)

    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None:
        if self._revision(component, revision, fence).spec.schedule is None:
            raise RevisionMissing(f"revision {revision} of {component.module} has no schedule here")
        for number, present in self._cluster.component(component).revisions.items():
            present.is_active = number == revision

    async def ensure_boundary(self, spec: BoundarySpec, fence: Fence) -> None:
        self._boundary(spec.environment, spec.tenant, fence).spec = spec

    async def delete_boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> None:
        if self._cluster.site(environment) is None:
            return
        self._boundary(environment, tenant, fence).spec = None
        for component, state in self._cluster.sites[environment].components.items():
            if component.tenant == tenant:
                state.revisions.clear()
                state.weights.clear()

    @_reading
    def read_boundary(self, environment: EnvironmentId, tenant: TenantId) -> Boundary | None:
        site = self._cluster.site(environment)
        boundary = site.boundaries.get(tenant) if site else None
        if site is None or boundary is None or boundary.spec is None:
            return None
        return Boundary(
            environment,
            tenant,
            f"{environment}-{tenant}",
            True,
            self._cluster.used(environment, tenant),
            boundary_properties(boundary.spec),
            boundary.fence,
        )

    @_reading
    def attempt_isolation(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> tuple[LayerAttempts, ...] | None:
        reached = self._cluster.reached
        site = self._cluster.site(environment)
        if reached is None or site is None:
            return None
        boundary = site.boundaries.get(tenant)
        layers = [
            IsolationLayer.COMPUTE, IsolationLayer.DATA, IsolationLayer.SECRETS,
            IsolationLayer.IDENTITY,
        ]  # fmt: skip
        if boundary and boundary.spec and boundary.spec.limits.memory_mb is not None:
            layers.append(IsolationLayer.QUOTA)
        return tuple(LayerAttempts(each, reached=reached.get(each, ())) for each in layers)

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        state = self._fenced(component, fence)
        live = [self._live_revision(revision) for revision in state.revisions.values()]
        checked = check_weights(component, weights, live)
        for number in state.weights.keys() - checked.keys():
            state.revisions[number].weightless_at = self._cluster.clock.now()
        state.weights = checked

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        state = self._fenced(component, fence)
        check_removal(component, revision, state.weights)
        present = state.revisions.get(revision)
        if present is not None and present.removed_at is None:
            present.removed_at = self._cluster.clock.now()

    @_reading
    def observe(self, component: SurfaceComponent) -> LiveComponent | None:
        self._cluster.observed.append(component.module)
        return self._live(component)

    @_reading
    def inventory(self, environment: EnvironmentId) -> Inventory | None:
        site = self._cluster.site(environment)
        if site is None:
            return None
        readable = [each for each in sorted(site.components) if each not in self._cluster.torn]
        components = [self._live(component) for component in readable]
        return Inventory(
            tuple(live for live in components if live is not None),
            tuple(Unread(f"{each.module} is torn", each.service) for each in self._cluster.torn),
        )

    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> Reading[tuple[LiveProof, ...]]:
        known = sorted(self._cluster.component(component).revisions.items())
        asked = [one for number, one in known if revision in {None, number}]
        names = {instance.id for one in asked for instance in one.instances}
        if mute := sorted(names & self._cluster.mute):
            return Unknown(f"{mute[0]} does not say its release")
        return await self._proofs(component, asked)

    @_reading
    def _proofs(
        self, component: SurfaceComponent, asked: Sequence[MemoryRevision]
    ) -> tuple[LiveProof, ...] | None:
        proofs = tuple(
            self._proof(one.spec, each)
            for one in asked
            for each in one.instances
            if one.spec.runs_once is None or self._cluster.job_phase(one) is Phase.COMPLETE
        )
        return proofs if self._cluster.component(component).revisions else None

    @_reading
    def traffic(self, component: SurfaceComponent) -> TrafficSample | None:
        revisions = sorted(self._cluster.component(component).revisions.items())
        counters = {n: r.traffic.snapshot() for n, r in revisions if r.spec.port is not None}
        now = self._cluster.clock.now()
        return TrafficSample(now, "memory", counters) if counters else None

    @_reading
    def properties(self, component: SurfaceComponent) -> Mapping[int, Properties] | None:
        state = self._cluster.component(component)
        return {
            number: revision_properties(
                revision.spec,
                weight=state.weights.get(number, 0),
                scaling=revision.scaling,
                is_active=revision.is_active,
            )
            for number, revision in state.revisions.items()
        } or None

    @_reading
    def logs(self, component: SurfaceComponent, instance: str, tail: int) -> tuple[str, ...] | None:
        for revision in self._cluster.component(component).revisions.values():
            for candidate in revision.instances:
                if candidate.id == instance:
                    if written := self._cluster.behaviour(revision.spec.artifact).output:
                        return written[-tail:]
                    return (f"{instance} started as {candidate.pid}",)[-tail:]
        return None

    @_reading
    def kept_outputs(self, component: SurfaceComponent, revision: int) -> tuple[str, ...] | None:
        present = self._cluster.component(component).revisions.get(revision)
        return tuple(instance.id for instance in present.instances) if present else None

    def _fenced(self, component: SurfaceComponent, fence: Fence) -> MemoryComponent:
        """Return the component for a write of *fence*, its token recorded."""
        if self._cluster.site(component.environment) is None:
            raise SiteMissing(f"{component.environment} has no site here: provision it first")
        state = self._cluster.component(component)
        state.fence = check_fence(component.module, fence, state.fence)
        return state

    def _revision(self, component: SurfaceComponent, revision: int, fence: Fence) -> MemoryRevision:
        present = self._fenced(component, fence).revisions.get(revision)
        if present is None:
            raise RevisionMissing(f"revision {revision} of {component.module} does not exist here")
        return present

    def _boundary(
        self, environment: EnvironmentId, tenant: TenantId, fence: Fence
    ) -> MemoryBoundary:
        if self._cluster.has_defect:
            raise RuntimeError(f"the boundary of {tenant} in {environment} has a defect")
        site = self._cluster.site(environment)
        if site is None:
            raise SiteMissing(f"{environment} has no site here: provision it first")
        boundary = site.boundaries.setdefault(tenant, MemoryBoundary())
        boundary.fence = check_fence(f"{environment}/{tenant}", fence, boundary.fence)
        return boundary

    def _specs_of_others(self, component: SurfaceComponent) -> list[RevisionSpec]:
        site = self._cluster.sites[component.environment]
        return [
            revision.spec
            for other in site.components
            if other != component
            for revision in self._cluster.component(other).revisions.values()
        ]

    def _live(self, component: SurfaceComponent) -> LiveComponent | None:
        state = self._cluster.component(component)
        if not state.revisions:
            return None
        revisions = tuple(self._live_revision(r) for _, r in sorted(state.revisions.items()))
        has_port = any(r.spec.port is not None for r in state.revisions.values())
        endpoint = f"http://{component.module}.test/" if has_port else None
        return LiveComponent(component, revisions, dict(state.weights), endpoint, state.fence)

    def _live_revision(self, revision: MemoryRevision) -> LiveRevision:
        spec = revision.spec
        instances = self._cluster.instances(revision)
        ready = sum(instance.is_ready for instance in instances)
        minimum = revision.scaling.minimum if revision.scaling else None
        needed = spec.replicas if minimum is None else min(spec.replicas, max(1, minimum))
        phase = Phase.READY if ready >= needed else Phase.STARTING
        if spec.runs_once is not None:
            phase = self._cluster.job_phase(revision)
        if spec.schedule is not None:
            phase = Phase.READY
        if revision.removed_at is not None:
            phase = Phase.DRAINING
        owner = ReplicasOwner.SURFACE if revision.scaling else ReplicasOwner.PLATFORM
        return LiveRevision(
            spec.revision,
            spec.version,
            spec.artifact,
            spec.replicas,
            phase,
            instances,
            spec.unit,
            replicas_owner=owner,
            minimum=minimum,
            is_active=spec.schedule is None or revision.is_active,
        )

    def _proof(self, spec: RevisionSpec, instance: Instance) -> LiveProof:
        cluster = self._cluster
        answer = cluster.behaviour(spec.artifact).says_release
        release = answer if answer is not None and spec.release else spec.version
        is_tampered = instance.id in cluster.tampered
        content = f"sha256:{'f' * 64}" if is_tampered else spec.artifact
        return LiveProof(
            instance=instance.id,
            revision=spec.revision,
            artifact=spec.artifact,
            content_digest=content,
            expected_digest=spec.artifact,
            release=release,
            release_source="answer" if spec.release else "start",
            unit={} if is_tampered else spec.unit,
            checked_at=cluster.clock.now(),
            departs=departures(
                ("content", content, spec.artifact), ("release", release, spec.version)
            ),
        )
