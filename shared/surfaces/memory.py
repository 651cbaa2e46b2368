"""A surface in memory, for tests and crash sweeps: the same contract, on the clock it is given.

`MemoryCluster` is the world outside: it stays when a host object is dropped, as machines do.
`MemorySurface` is what a host opens on it, as often as it likes. Nothing runs in the background:
each read and write first brings the world up to now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import exp
from statistics import NormalDist
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.errors import RevisionMissing, SiteMissing, StillWeighted
from shared.surfaces.observed_state import (
    Instance,
    InstanceProof,
    LiveComponent,
    LiveRevision,
    Phase,
    Site,
)
from shared.surfaces.rules import WHOLE, admit, check_revision, check_weights
from shared.surfaces.spec import Component, RevisionSpec, SiteSpec
from shared.surfaces.traffic import Counter, TrafficSample

_NORMAL: Final = NormalDist()
_CAN: Final = Capabilities(
    surface="Memory",
    lacks={
        Feature.CONFIGURATION_IN_PLACE: "an instance is given its configuration at its start",
        Feature.SECRET_REFERENCES: "it has no vault",
        Feature.NAMESPACES: "everything is in one process",
        Feature.QUOTAS: "it counts no resources",
        Feature.CPU_LIMIT: "nothing really runs",
    },
    replicas_max=50,
)


@dataclass(frozen=True)
class Behaviour:
    """How an artifact acts once it runs. Latencies are log-normal around the median."""

    start_s: float = 1.0
    becomes_ready: bool = True
    latency_ms: float = 20.0
    spread: float = 0.25
    error_ratio: float = 0.0
    says_release: str | None = None
    """What it answers to the release question; None: the version it was applied with."""


@dataclass
class _Copy:
    id: str
    pid: int
    started_at: datetime
    restarts: int = 0


@dataclass
class _Revision:
    spec: RevisionSpec
    copies: list[_Copy] = field(default_factory=list)
    weightless_at: datetime | None = None
    removed_at: datetime | None = None
    traffic: Counter = field(default_factory=Counter)
    owed: float = 0.0


@dataclass
class _Component:
    revisions: dict[int, _Revision] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    fence: int = 0
    counted_at: datetime | None = None


@dataclass
class _Site:
    spec: SiteSpec | None = None
    fence: int = 0
    components: dict[Component, _Component] = field(default_factory=dict)


class MemoryCluster:
    """What exists, how artifacts behave, and what may go wrong.

    Set `unreadable` to a reason and every read is Unknown; put an instance id into `tampered` and
    its proof departs; `requests_per_s` is what clients send to each component that has weights.
    """

    def __init__(self, clock: Clock, entropy: Entropy, *, requests_per_s: float = 0.0) -> None:
        self.clock = clock
        self.entropy = entropy
        self.requests_per_s = requests_per_s
        self.behaviours: dict[str, Behaviour] = {}
        self.tampered: set[str] = set()
        self.unreadable = ""
        self.sites: dict[EnvironmentId, _Site] = {}
        self._pids = 1000

    def behaviour(self, artifact: str) -> Behaviour:
        return self.behaviours.get(artifact, Behaviour())

    def crash(self, component: Component, instance: str) -> None:
        """Let *instance* die; the surface restarts it at once, as LocalProcess does."""
        for revision in self.component(component).revisions.values():
            for copy in revision.copies:
                if copy.id == instance:
                    copy.pid, copy.started_at = self._next_pid(), self.clock.now()
                    copy.restarts += 1

    def component(self, component: Component) -> _Component:
        """Return the record of *component*, brought up to now; a new one where there is none."""
        site = self.sites.setdefault(component.environment, _Site())
        record = site.components.setdefault(component, _Component())
        self._settle(record)
        return record

    def resize(self, revision: _Revision) -> None:
        """Start or stop copies until there are as many as the spec asks for, newest first."""
        spec = revision.spec
        taken = {copy.id for copy in revision.copies}
        names = (f"{spec.component.module}-{spec.revision}-{n}" for n in range(spec.replicas))
        missing = spec.replicas - len(revision.copies)
        for name in [name for name in names if name not in taken][: max(missing, 0)]:
            revision.copies.append(_Copy(name, self._next_pid(), self.clock.now()))
        del revision.copies[spec.replicas :]

    def is_ready(self, revision: _Revision, copy: _Copy) -> bool:
        acts = self.behaviour(revision.spec.artifact)
        up_at = copy.started_at + timedelta(seconds=acts.start_s)
        return acts.becomes_ready and self.clock.now() >= up_at

    def _next_pid(self) -> int:
        self._pids += 1
        return self._pids

    def _settle(self, record: _Component) -> None:
        now = self.clock.now()
        self._count(record, now)
        for number, revision in list(record.revisions.items()):
            if revision.removed_at is None:
                continue
            drained_from = max(revision.removed_at, revision.weightless_at or revision.removed_at)
            if now >= drained_from + timedelta(seconds=revision.spec.drain_s):
                del record.revisions[number]

    def _count(self, record: _Component, now: datetime) -> None:
        elapsed_s = (now - record.counted_at).total_seconds() if record.counted_at else 0.0
        record.counted_at = now
        for number, percent in record.weights.items():
            revision = record.revisions[number]
            revision.owed += elapsed_s * self.requests_per_s * percent / WHOLE
            acts = self.behaviour(revision.spec.artifact)
            while revision.owed >= 1:
                revision.owed -= 1
                revision.traffic.add(
                    latency_ms=self._latency_ms(acts),
                    is_error=self.entropy.fraction() < acts.error_ratio,
                )

    def _latency_ms(self, acts: Behaviour) -> float:
        deviation = _NORMAL.inv_cdf(min(max(self.entropy.fraction(), 1e-9), 1 - 1e-9))
        return acts.latency_ms * exp(acts.spread * deviation)


class MemorySurface:
    """One host's view of a `MemoryCluster`; keeps nothing itself."""

    def __init__(self, world: MemoryCluster) -> None:
        self._world = world

    def capabilities(self) -> Capabilities:
        return _CAN

    async def ensure_site(self, spec: SiteSpec, fence: Fence) -> None:
        site = self._world.sites.setdefault(spec.environment, _Site())
        site.fence = admit(spec.environment, fence, site.fence)
        site.spec = spec

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        site = self._world.sites.get(environment)
        if site is None or site.spec is None:
            return Absent()
        endpoint = f"http://{site.spec.name}.test/"
        return Present(Site(environment, endpoint, True, site.spec.facts, site.fence))

    async def delete_site(self, environment: EnvironmentId, fence: Fence) -> None:
        site = self._world.sites.get(environment)
        if site is not None:
            site.fence = admit(environment, fence, site.fence)
            site.spec = None
            for record in site.components.values():
                record.revisions.clear()
                record.weights.clear()

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None:
        record = self._admitted(spec.component, fence)
        present = record.revisions.get(spec.revision)
        check_revision(spec, present.spec if present else None, self._others(spec.component))
        revision = record.revisions.setdefault(spec.revision, _Revision(spec))
        revision.spec, revision.removed_at = spec, None
        self._world.resize(revision)

    async def scale(self, component: Component, revision: int, replicas: int, fence: Fence) -> None:
        record = self._admitted(component, fence)
        found = record.revisions.get(revision)
        if found is None:
            raise RevisionMissing(f"revision {revision} of {component.module} is not here")
        found.spec = replace(found.spec, replicas=replicas)
        self._world.resize(found)

    async def set_weights(
        self, component: Component, weights: Mapping[int, int], fence: Fence
    ) -> None:
        record = self._admitted(component, fence)
        wanted = check_weights(component, weights, self._live(component).revisions)
        for number in record.weights.keys() - wanted.keys():
            record.revisions[number].weightless_at = self._world.clock.now()
        record.weights = wanted

    async def remove(self, component: Component, revision: int, fence: Fence) -> None:
        record = self._admitted(component, fence)
        if record.weights.get(revision):
            raise StillWeighted(
                f"revision {revision} of {component.module} has "
                f"{record.weights[revision]} % of the traffic: set its weight to 0 first"
            )
        found = record.revisions.get(revision)
        if found is not None and found.removed_at is None:
            found.removed_at = self._world.clock.now()

    async def observe(self, component: Component) -> Reading[LiveComponent]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        live = self._live(component)
        return Present(live) if live.revisions else Absent()

    async def inventory(self, environment: EnvironmentId) -> Reading[tuple[LiveComponent, ...]]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        site = self._world.sites.get(environment)
        if site is None or site.spec is None:
            return Absent()
        all_live = [self._live(component) for component in sorted(site.components)]
        return Present(tuple(live for live in all_live if live.revisions))

    async def prove(self, component: Component) -> Reading[tuple[InstanceProof, ...]]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        record = self._world.component(component)
        if not record.revisions:
            return Absent()
        return Present(
            tuple(
                self._proof(revision.spec, copy)
                for _, revision in sorted(record.revisions.items())
                for copy in revision.copies
            )
        )

    async def traffic(self, component: Component) -> Reading[TrafficSample]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        record = self._world.component(component)
        served = {n: r for n, r in sorted(record.revisions.items()) if r.spec.port is not None}
        if not served:
            return Absent()
        counted = {number: revision.traffic.read() for number, revision in served.items()}
        return Present(TrafficSample(self._world.clock.now(), "memory", counted))

    async def logs(
        self, component: Component, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        if self._world.unreadable:
            return Unknown(self._world.unreadable)
        for revision in self._world.component(component).revisions.values():
            for copy in revision.copies:
                if copy.id == instance:
                    return Present((f"{instance} started as {copy.pid}",)[-tail:])
        return Absent()

    def _admitted(self, component: Component, fence: Fence) -> _Component:
        site = self._world.sites.get(component.environment)
        if site is None or site.spec is None:
            raise SiteMissing(f"{component.environment} has no site here: provision it first")
        record = self._world.component(component)
        record.fence = admit(component.module, fence, record.fence)
        return record

    def _others(self, component: Component) -> list[RevisionSpec]:
        site = self._world.sites[component.environment]
        return [
            revision.spec
            for other in site.components
            if other != component
            for revision in self._world.component(other).revisions.values()
        ]

    def _live(self, component: Component) -> LiveComponent:
        record = self._world.component(component)
        revisions = tuple(self._live_revision(r) for _, r in sorted(record.revisions.items()))
        serves = any(r.spec.port is not None for r in record.revisions.values())
        endpoint = f"http://{component.module}.test/" if serves else None
        return LiveComponent(component, revisions, dict(record.weights), endpoint, record.fence)

    def _live_revision(self, revision: _Revision) -> LiveRevision:
        spec = revision.spec
        instances = tuple(self._instance(revision, copy) for copy in revision.copies)
        ready = sum(instance.is_ready for instance in instances)
        phase = Phase.READY if ready == spec.replicas else Phase.STARTING
        if revision.removed_at is not None:
            phase = Phase.DRAINING
        return LiveRevision(
            spec.revision, spec.version, spec.artifact, spec.replicas, phase, instances, spec.unit
        )

    def _instance(self, revision: _Revision, copy: _Copy) -> Instance:
        is_ready = self._world.is_ready(revision, copy)
        return Instance(
            id=copy.id,
            revision=revision.spec.revision,
            is_ready=is_ready,
            is_live=True,
            started_at=copy.started_at,
            restarts=copy.restarts,
            pid=copy.pid,
            address="127.0.0.1:1" if revision.spec.port is not None else None,
            reason="" if is_ready else "Starting",
        )

    def _proof(self, spec: RevisionSpec, copy: _Copy) -> InstanceProof:
        says = self._world.behaviour(spec.artifact).says_release
        release = says if says is not None and spec.release else spec.version
        content = "sha256:" + ("f" * 64 if copy.id in self._world.tampered else spec.artifact[7:])
        departs = []
        if content != spec.artifact:
            departs.append(f"content is {content}, the artifact gives {spec.artifact}")
        if release != spec.version:
            departs.append(f"it answers release {release}, expected {spec.version}")
        return InstanceProof(
            instance=copy.id,
            revision=spec.revision,
            artifact=spec.artifact,
            content_digest=content,
            expected_digest=spec.artifact,
            release=release,
            release_source="answer" if spec.release else "environ",
            unit=spec.unit,
            checked_at=self._world.clock.now(),
            departs=tuple(departs),
        )
