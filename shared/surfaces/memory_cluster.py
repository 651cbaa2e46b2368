"""The machines behind a surface in memory: sites, revisions, instances, and their traffic.

The cluster outlives the host objects that use it, as machines do. Nothing runs in the background:
each access first brings the component up to the present.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import exp
from statistics import NormalDist
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentId
from shared.surfaces.rules import WHOLE
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import Counter

_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class Behaviour:
    """How the instances of an artifact behave. Latencies are log-normal around the median."""

    start_s: float = 1.0
    becomes_ready: bool = True
    latency_ms: float = 20.0
    spread: float = 0.25
    error_ratio: float = 0.0
    says_release: str | None = None
    """Its answer to the release question; None: the version it was applied with."""


@dataclass
class MemoryInstance:
    id: str
    pid: int
    started_at: datetime
    restarts: int = 0
    was_stopped: bool = False
    """Its last process ended with its host."""


@dataclass
class MemoryRevision:
    """`pending_requests` is the fraction of a request that the next time step adds to."""

    spec: RevisionSpec
    instances: list[MemoryInstance] = field(default_factory=list)
    weightless_at: datetime | None = None
    removed_at: datetime | None = None
    traffic: Counter = field(default_factory=Counter)
    pending_requests: float = 0.0


@dataclass
class MemoryComponent:
    revisions: dict[int, MemoryRevision] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    fence: int = 0
    counted_at: datetime | None = None


@dataclass
class MemorySite:
    spec: SiteSpec | None = None
    fence: int = 0
    components: dict[SurfaceComponent, MemoryComponent] = field(default_factory=dict)


class MemoryCluster:
    """The cluster, how its artifacts behave, and its faults.

    Set `unreadable` to a reason and every read is Unknown; put an instance id into `tampered` and
    its proof departs, into `lost` and it is never ready again; clients send `requests_per_s` to
    each component that has weights.
    """

    def __init__(self, clock: Clock, entropy: Entropy, *, requests_per_s: float = 0.0) -> None:
        self.clock = clock
        self.entropy = entropy
        self.requests_per_s = requests_per_s
        self.behaviours: dict[str, Behaviour] = {}
        self.tampered: set[str] = set()
        self.lost: set[str] = set()
        self.unreadable = ""
        self.sites: dict[EnvironmentId, MemorySite] = {}
        self._last_pid = 1000

    def behaviour(self, artifact: str) -> Behaviour:
        return self.behaviours.get(artifact, Behaviour())

    def stop(self) -> None:
        """End every process with its host; all start again at once, as after `runtimectl down`."""
        for site in self.sites.values():
            for component in site.components.values():
                for revision in component.revisions.values():
                    for instance in revision.instances:
                        instance.pid, instance.started_at = self._next_pid(), self.clock.now()
                        instance.was_stopped = True

    def crash(self, component: SurfaceComponent, instance_id: str) -> None:
        """End the process of that instance; it restarts at once, as on LocalProcess."""
        for revision in self.component(component).revisions.values():
            for instance in revision.instances:
                if instance.id == instance_id:
                    instance.pid, instance.started_at = self._next_pid(), self.clock.now()
                    instance.restarts += 1
                    instance.was_stopped = False

    def component(self, component: SurfaceComponent) -> MemoryComponent:
        """Return the state of *component* at present; a new one where there is none."""
        site = self.sites.setdefault(component.environment, MemorySite())
        state = site.components.setdefault(component, MemoryComponent())
        self._advance(state)
        return state

    def resize(self, revision: MemoryRevision) -> None:
        """Start or stop instances until their number is that of the spec, newest first."""
        spec = revision.spec
        present = {instance.id for instance in revision.instances}
        ids = (f"{spec.component.module}-{spec.revision}-{n}" for n in range(spec.replicas))
        missing = spec.replicas - len(revision.instances)
        for instance_id in [name for name in ids if name not in present][: max(missing, 0)]:
            revision.instances.append(
                MemoryInstance(instance_id, self._next_pid(), self.clock.now())
            )
        del revision.instances[spec.replicas :]

    def is_ready(self, revision: MemoryRevision, instance: MemoryInstance) -> bool:
        behaviour = self.behaviour(revision.spec.artifact)
        ready_at = instance.started_at + timedelta(seconds=behaviour.start_s)
        is_able = behaviour.becomes_ready and instance.id not in self.lost
        return is_able and self.clock.now() >= ready_at

    def _next_pid(self) -> int:
        self._last_pid += 1
        return self._last_pid

    def _advance(self, state: MemoryComponent) -> None:
        now = self.clock.now()
        self._count_requests(state, now)
        for number, revision in list(state.revisions.items()):
            if revision.removed_at is None:
                continue
            drain_began_at = max(revision.removed_at, revision.weightless_at or revision.removed_at)
            if now >= drain_began_at + timedelta(seconds=revision.spec.drain_s):
                del state.revisions[number]

    def _count_requests(self, state: MemoryComponent, now: datetime) -> None:
        elapsed_s = (now - state.counted_at).total_seconds() if state.counted_at else 0.0
        state.counted_at = now
        for number, percent in state.weights.items():
            revision = state.revisions[number]
            revision.pending_requests += elapsed_s * self.requests_per_s * percent / WHOLE
            behaviour = self.behaviour(revision.spec.artifact)
            while revision.pending_requests >= 1:
                revision.pending_requests -= 1
                revision.traffic.add(
                    latency_ms=self._latency_ms(behaviour),
                    is_error=self.entropy.fraction() < behaviour.error_ratio,
                )

    def _latency_ms(self, behaviour: Behaviour) -> float:
        deviation = _NORMAL.inv_cdf(min(max(self.entropy.fraction(), 1e-9), 1 - 1e-9))
        return behaviour.latency_ms * exp(behaviour.spread * deviation)
