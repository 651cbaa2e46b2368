"""A surface over a cluster in memory: the same contract, for tests and crash sweeps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.errors import RevisionMissing, SiteMissing
from shared.surfaces.memory_cluster import (
    MemoryCluster,
    MemoryComponent,
    MemoryInstance,
    MemoryRevision,
    MemorySite,
)
from shared.surfaces.observed_state import (
    Instance,
    LiveComponent,
    LiveProof,
    LiveRevision,
    Phase,
    Site,
)
from shared.surfaces.rules import check_fence, check_removal, check_revision, check_weights
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import TrafficSample

_CAPABILITIES: Final = Capabilities(
    surface="Memory",
    lacks={
        Feature.CONFIGURATION_IN_PLACE: "an instance is given its configuration at its start",
        Feature.SECRET_REFERENCES: "it has no vault",
        Feature.NAMESPACES: "everything is in one process",
        Feature.QUOTAS: "it counts no resources",
        Feature.CPU_LIMIT: "its instances use no CPU",
    },
    replicas_max=50,
)


class MemorySurface:
    """One host's access to a `MemoryCluster`; it has no state of its own."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        site = self._cluster.sites.setdefault(spec.environment, MemorySite())
        site.fence = check_fence(spec.environment, fence, site.fence)
        site.spec = spec

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        site = self._cluster.sites.get(environment)
        if site is None or site.spec is None:
            return Absent()
        endpoint = f"http://{site.spec.name}.test/"
        return Present(Site(environment, endpoint, True, site.spec.facts, site.fence))

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        site = self._cluster.sites.get(environment)
        if site is not None:
            site.fence = check_fence(environment, fence, site.fence)
            site.spec = None
            for component in site.components.values():
                component.revisions.clear()
                component.weights.clear()

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        state = self._fenced(spec.component, fence)
        present = state.revisions.get(spec.revision)
        others = self._specs_of_others(spec.component)
        check_revision(spec, present.spec if present else None, others)
        revision = state.revisions.setdefault(spec.revision, MemoryRevision(spec))
        revision.spec, revision.removed_at = spec, None
        self._cluster.resize(revision)

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None:
        present = self._fenced(component, fence).revisions.get(revision)
        if present is None:
            raise RevisionMissing(f"revision {revision} of {component.module} does not exist here")
        present.spec = replace(present.spec, replicas=replicas)
        self._cluster.resize(present)

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None:
        state = self._fenced(component, fence)
        checked = check_weights(component, weights, self._live(component).revisions)
        for number in state.weights.keys() - checked.keys():
            state.revisions[number].weightless_at = self._cluster.clock.now()
        state.weights = checked

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None:
        state = self._fenced(component, fence)
        check_removal(component, revision, state.weights)
        present = state.revisions.get(revision)
        if present is not None and present.removed_at is None:
            present.removed_at = self._cluster.clock.now()

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        live = self._live(component)
        return Present(live) if live.revisions else Absent()

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        site = self._cluster.sites.get(environment)
        if site is None or site.spec is None:
            return Absent()
        components = [self._live(component) for component in sorted(site.components)]
        return Present(tuple(live for live in components if live.revisions))

    async def prove(self, component: SurfaceComponent) -> Reading[tuple[LiveProof, ...]]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        state = self._cluster.component(component)
        if not state.revisions:
            return Absent()
        return Present(
            tuple(
                self._proof(revision.spec, instance)
                for _, revision in sorted(state.revisions.items())
                for instance in revision.instances
            )
        )

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        revisions = sorted(self._cluster.component(component).revisions.items())
        counters = {n: r.traffic.snapshot() for n, r in revisions if r.spec.port is not None}
        if not counters:
            return Absent()
        return Present(TrafficSample(self._cluster.clock.now(), "memory", counters))

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        for revision in self._cluster.component(component).revisions.values():
            for candidate in revision.instances:
                if candidate.id == instance:
                    return Present((f"{instance} started as {candidate.pid}",)[-tail:])
        return Absent()

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        if self._cluster.unreadable:
            return Unknown(self._cluster.unreadable)
        known = self._cluster.component(component).revisions.get(revision)
        return Present(tuple(each.id for each in known.instances)) if known else Absent()

    def _fenced(self, component: SurfaceComponent, fence: Fence) -> MemoryComponent:
        """Return the component for a write of *fence*, its token recorded."""
        site = self._cluster.sites.get(component.environment)
        if site is None or site.spec is None:
            raise SiteMissing(f"{component.environment} has no site here: provision it first")
        state = self._cluster.component(component)
        state.fence = check_fence(component.module, fence, state.fence)
        return state

    def _specs_of_others(self, component: SurfaceComponent) -> list[RevisionSpec]:
        site = self._cluster.sites[component.environment]
        return [
            revision.spec
            for other in site.components
            if other != component
            for revision in self._cluster.component(other).revisions.values()
        ]

    def _live(self, component: SurfaceComponent) -> LiveComponent:
        state = self._cluster.component(component)
        revisions = tuple(self._live_revision(r) for _, r in sorted(state.revisions.items()))
        has_port = any(r.spec.port is not None for r in state.revisions.values())
        endpoint = f"http://{component.module}.test/" if has_port else None
        return LiveComponent(component, revisions, dict(state.weights), endpoint, state.fence)

    def _live_revision(self, revision: MemoryRevision) -> LiveRevision:
        spec = revision.spec
        instances = tuple(self._instance(revision, instance) for instance in revision.instances)
        ready = sum(instance.is_ready for instance in instances)
        phase = Phase.READY if ready == spec.replicas else Phase.STARTING
        if revision.removed_at is not None:
            phase = Phase.DRAINING
        return LiveRevision(
            spec.revision, spec.version, spec.artifact, spec.replicas, phase, instances, spec.unit
        )

    def _instance(self, revision: MemoryRevision, instance: MemoryInstance) -> Instance:
        is_ready = self._cluster.is_ready(revision, instance)
        return Instance(
            id=instance.id,
            revision=revision.spec.revision,
            is_ready=is_ready,
            is_live=True,
            started_at=instance.started_at,
            restarts=instance.restarts,
            pid=instance.pid,
            address="127.0.0.1:1" if revision.spec.port is not None else None,
            reason="" if is_ready else "Starting",
            is_resuming=instance.was_stopped and not is_ready,
        )

    def _proof(self, spec: RevisionSpec, instance: MemoryInstance) -> LiveProof:
        cluster = self._cluster
        answer = cluster.behaviour(spec.artifact).says_release
        release = answer if answer is not None and spec.release else spec.version
        is_tampered = instance.id in cluster.tampered
        content = f"sha256:{'f' * 64}" if is_tampered else spec.artifact
        departs = []
        if content != spec.artifact:
            departs.append(f"content is {content}, the artifact gives {spec.artifact}")
        if release != spec.version:
            departs.append(f"it answers release {release}, expected {spec.version}")
        return LiveProof(
            instance=instance.id,
            revision=spec.revision,
            artifact=spec.artifact,
            content_digest=content,
            expected_digest=spec.artifact,
            release=release,
            release_source="answer" if spec.release else "environ",
            unit=spec.unit,
            checked_at=cluster.clock.now(),
            departs=tuple(departs),
        )
