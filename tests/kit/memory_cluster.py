"""The machines behind a surface in memory: sites, revisions, instances, and their traffic.

The cluster outlives the host objects that use it, as machines do. Nothing runs in the background:
each access first brings the component up to the present.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import exp
from statistics import NormalDist
from typing import Final

from shared.contracts.isolation import IsolationLayer
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.boundaries import BoundarySpec, Quota, limited, refusal, taken
from shared.surfaces.observed_state import FAILED_RUNS_MAX, Instance, Phase
from shared.surfaces.rules import WHOLE, drain_ends_at
from shared.surfaces.scaling import ScalingRules
from shared.surfaces.spec import Resources, RevisionSpec, SiteSpec, SurfaceComponent
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram, RevisionTraffic

_NORMAL: Final = NormalDist()


class Counter:
    """Counts the requests of one revision."""

    def __init__(self) -> None:
        self._by_class = {"2xx": 0, "5xx": 0}
        self._counts = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def add(self, *, latency_ms: float, is_error: bool) -> None:
        self._by_class["5xx" if is_error else "2xx"] += 1
        self._counts[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1

    def snapshot(self) -> RevisionTraffic:
        latency = Histogram(LATENCY_BOUNDS_MS, tuple(self._counts))
        return RevisionTraffic(latency.total, dict(self._by_class), 0, 0, latency)


@dataclass(frozen=True)
class Behaviour:
    """How the instances of an artifact behave. Latencies are log-normal around the median."""

    start_s: float = 1.0
    becomes_ready: bool = True
    exit_code: int | None = None
    """With this it ends again and again before it is ready."""
    cannot_start: str = ""
    """Why no start of it is possible; empty: it can be started."""
    unready_because: str = ""
    """What its readiness probe gets while it is not ready."""
    output: tuple[str, ...] = ()
    """Its last lines; empty: one that says when it started."""
    latency_ms: float = 20.0
    spread: float = 0.25
    error_ratio: float = 0.0
    says_release: str | None = None
    """Its answer to the release question; None: the version it was applied with."""


_USUAL: Final = Behaviour()


@dataclass
class MemoryRevision:
    """`pending_requests` is the fraction of a request that the next time step adds to."""

    spec: RevisionSpec
    instances: list[Instance] = field(default_factory=list)
    weightless_at: datetime | None = None
    removed_at: datetime | None = None
    traffic: Counter = field(default_factory=Counter)
    pending_requests: float = 0.0
    scaling: ScalingRules | None = None
    restarted_by: str = ""
    """The step that restarted it last."""
    is_active: bool = False
    """Its schedule starts runs."""
    failed_runs: int = 0
    """Of its schedule, in a row."""


@dataclass
class MemoryComponent:
    revisions: dict[int, MemoryRevision] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    fence: int = 0
    counted_at: datetime | None = None


@dataclass
class MemoryBoundary:
    """`spec` is None where it was deleted; the fence stays."""

    spec: BoundarySpec | None = None
    fence: int = 0


@dataclass
class MemorySite:
    spec: SiteSpec | None = None
    fence: int = 0
    boundaries: dict[TenantId, MemoryBoundary] = field(default_factory=dict)
    components: dict[SurfaceComponent, MemoryComponent] = field(default_factory=dict)


class MemoryCluster:
    """The cluster, how its artifacts behave, and its faults.

    Set `unreadable` to a reason and every read is Unknown, put a component into `torn` and those of
    it are; put an instance id into `tampered` and
    its proof departs, into `lost` and it is never ready again; clients send `requests_per_s` to
    each component that has weights. With `has_defect` every change of a boundary is a defect.
    With `reached`, by layer, isolation is tried from inside, and that is what is reached.
    """

    def __init__(self, clock: Clock, entropy: Entropy, *, requests_per_s: float = 0.0) -> None:
        self.clock = clock
        self.entropy = entropy
        self.requests_per_s = requests_per_s
        self.behaviours: dict[str, Behaviour] = {}
        self.tampered: set[str] = set()
        self.mute: set[str] = set()
        self.lost: set[str] = set()
        self.started: list[tuple[str, int]] = []
        """Module and revision of each job that began to run."""
        self.observed: list[str] = []
        """The module of each observation."""
        self.unreadable = ""
        self.has_defect = False
        self.reached: dict[IsolationLayer, tuple[str, ...]] | None = None
        self.torn: set[SurfaceComponent] = set()
        self.sites: dict[EnvironmentId, MemorySite] = {}
        self._last_pid = 1000

    def behaviour(self, artifact: str) -> Behaviour:
        return self.behaviours.get(artifact, _USUAL)

    def stop(self) -> None:
        """End every process with its host; all start again at once, as after `runtimectl down`."""
        for site in self.sites.values():
            for component in site.components.values():
                for revision in component.revisions.values():
                    revision.instances = [
                        self._restart(instance, is_resuming=True) for instance in revision.instances
                    ]

    def crash(
        self,
        component: SurfaceComponent,
        instance_id: str,
        exit_code: int = -9,
        exit_reason: str = "Exited",
    ) -> None:
        """End the process of that instance; it restarts at once, as on LocalProcess."""
        for revision in self.component(component).revisions.values():
            revision.instances = [
                replace(
                    self._restart(instance, is_resuming=False),
                    restarts=instance.restarts + 1,
                    exit_code=exit_code,
                    exit_reason=exit_reason,
                )
                if instance.id == instance_id
                else instance
                for instance in revision.instances
            ]

    def site(self, environment: EnvironmentId) -> MemorySite | None:
        """Return the site of *environment*; None before it is ensured and after its deletion."""
        site = self.sites.get(environment)
        return site if site is not None and site.spec is not None else None

    def component(self, component: SurfaceComponent) -> MemoryComponent:
        """Return the state of *component* at present; a new one where there is none."""
        site = self.sites.get(component.environment)
        if site is None:
            site = self.sites[component.environment] = MemorySite()
        state = site.components.get(component)
        if state is None:
            state = site.components[component] = MemoryComponent()
        self._advance(state)
        return state

    def resize(self, revision: MemoryRevision) -> None:
        """Start or stop instances until their number is that of the spec, newest first."""
        spec = revision.spec
        if revision.scaling is not None:
            within = max(revision.scaling.minimum, min(spec.replicas, revision.scaling.maximum))
            spec = revision.spec = replace(spec, replicas=within)
        present = {instance.id for instance in revision.instances}
        ids = (f"{spec.component.module}-{spec.revision}-{n}" for n in range(spec.replicas))
        missing = spec.replicas - len(revision.instances)
        for instance_id in [name for name in ids if name not in present][: max(missing, 0)]:
            revision.instances.append(self._start_in_quota(instance_id, spec))
        del revision.instances[spec.replicas :]

    def used(self, environment: EnvironmentId, tenant: TenantId) -> Quota:
        """Return what the instances of *tenant* take that its quota did not refuse."""
        site = self.sites[environment]
        boundary = site.boundaries.get(tenant)
        limits = boundary.spec.limits if boundary and boundary.spec else Resources()
        return taken(
            [
                limited(revision.spec, limits)
                for component, state in site.components.items()
                if component.tenant == tenant
                for revision in state.revisions.values()
                for each in revision.instances
                if not _is_refused(each)
            ]
        )

    def _start_in_quota(self, instance_id: str, spec: RevisionSpec) -> Instance:
        """Return an instance of *spec* that started, or that the quota of its tenant refuses."""
        component = spec.component
        boundary = self.sites[component.environment].boundaries.get(component.tenant)
        if boundary is None or boundary.spec is None or boundary.spec.quota == Quota():
            return self._start(instance_id, spec)
        used = self.used(component.environment, component.tenant)
        refused = refusal(boundary.spec.quota, used, limited(spec, boundary.spec.limits))
        if not refused:
            return self._start(instance_id, spec)
        return Instance(
            id=instance_id, revision=spec.revision, is_ready=False, is_live=False,
            started_at=self.clock.now(), reason="CannotStart", message=refused, failed_starts=1,
        )  # fmt: skip

    def restart(self, revision: MemoryRevision) -> None:
        """Replace every instance; nothing here takes time."""
        revision.instances = [
            each if _is_refused(each) else self._start(each.id, revision.spec)
            for each in revision.instances
        ]

    def job_phase(self, revision: MemoryRevision) -> Phase:
        """Return how the job *revision* is: it takes as long as a server takes to start.

        One that is never ready takes all its time; one with an exit code fails.
        """
        behaviour, once = self.behaviour(revision.spec.artifact), revision.spec.runs_once
        assert once is not None, revision.spec.component.module
        began_at = revision.instances[0].started_at
        took_s = (self.clock.now() - began_at).total_seconds()
        if took_s >= behaviour.start_s and behaviour.becomes_ready and not behaviour.cannot_start:
            return Phase.COMPLETE if behaviour.exit_code is None else Phase.FAILED
        return Phase.FAILED if took_s >= once.time_limit_s else Phase.STARTING

    def _of_job(self, revision: MemoryRevision) -> Instance:
        found, behaviour = revision.instances[0], self.behaviour(revision.spec.artifact)
        phase = self.job_phase(revision)
        if phase is Phase.COMPLETE:
            return replace(found, is_ready=True, is_live=True, reason="", pid=None)
        if phase is Phase.STARTING and behaviour.cannot_start:
            message = behaviour.cannot_start
            return replace(found, is_live=False, reason="CannotStart", message=message)
        if phase is Phase.STARTING:
            return replace(found, reason="Running")
        code = behaviour.exit_code
        reason = "DeadlineExceeded" if code is None else "Exited"
        return replace(found, is_live=False, reason=reason, exit_code=code, exit_reason=reason)

    @staticmethod
    def _of_schedule(revision: MemoryRevision) -> Instance:
        failed, found = revision.failed_runs, revision.instances[0]
        found = replace(found, is_ready=failed < FAILED_RUNS_MAX, reason="")
        message = f"{failed} runs failed"
        return replace(found, reason="RunFailed", message=message) if failed else found

    def instances(self, revision: MemoryRevision) -> tuple[Instance, ...]:
        """Return the instances of *revision*, each ready or not at present."""
        if revision.spec.runs_once is not None:
            return (self._of_job(revision),)
        if revision.spec.schedule is not None:
            return (self._of_schedule(revision),)
        behaviour = self.behaviour(revision.spec.artifact)
        started_before = self.clock.now() - timedelta(seconds=behaviour.start_s)
        if behaviour.cannot_start:
            return tuple(
                replace(
                    each, pid=None, is_live=False, reason="CannotStart",
                    message=behaviour.cannot_start, failed_starts=3,
                )
                for each in revision.instances
            )  # fmt: skip
        if behaviour.exit_code is not None:
            return tuple(
                replace(each, restarts=3, reason="Exited", exit_code=behaviour.exit_code)
                for each in revision.instances
            )
        return tuple(
            instance
            if _is_refused(instance)
            else replace(instance, is_ready=True, reason="", is_resuming=False)
            if behaviour.becomes_ready
            and instance.id not in self.lost
            and instance.started_at <= started_before
            else replace(instance, message=behaviour.unready_because)
            for instance in revision.instances
        )

    def _restart(self, instance: Instance, *, is_resuming: bool) -> Instance:
        return replace(
            instance,
            pid=self._next_pid(),
            started_at=self.clock.now(),
            is_resuming=is_resuming,
        )

    def _start(self, instance_id: str, spec: RevisionSpec) -> Instance:
        if spec.runs_once is not None:
            self.started.append((spec.component.module, spec.revision))
        return Instance(
            id=instance_id,
            revision=spec.revision,
            is_ready=False,
            is_live=True,
            started_at=self.clock.now(),
            pid=self._next_pid(),
            address="127.0.0.1:1" if spec.port is not None else None,
            reason="Starting",
        )

    def _next_pid(self) -> int:
        self._last_pid += 1
        return self._last_pid

    def _advance(self, state: MemoryComponent) -> None:
        now = self.clock.now()
        self._count_requests(state, now)
        for number, revision in list(state.revisions.items()):
            removed_at = revision.removed_at
            if removed_at and now >= drain_ends_at(
                revision.spec, removed_at, revision.weightless_at
            ):
                del state.revisions[number]
                continue
            # In place: who holds the list of a revision holds what it has.
            revision.instances[:] = [
                self._start_in_quota(each.id, revision.spec) if _is_refused(each) else each
                for each in revision.instances
            ]

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


def _is_refused(instance: Instance) -> bool:
    """Return whether a quota keeps it from being started."""
    return instance.pid is None and instance.reason == "CannotStart"
