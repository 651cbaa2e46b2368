"""The live state of a surface: sites, components, revisions, instances and their proofs."""

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, ServiceId
from shared.surfaces.data_servers import LiveServer
from shared.surfaces.scaling import ReplicasOwner
from shared.surfaces.spec import Resources, RevisionSpec, SurfaceComponent


class Phase(StrEnum):
    """The phase of a revision; its `reason` says why it stays in the phase."""

    STARTING = "Starting"
    """It has fewer ready instances than desired, at first or after a failure."""
    READY = "Ready"
    DRAINING = "Draining"
    """It is being removed; its instances finish their requests."""
    COMPLETE = "Complete"
    """It runs once, and has ended well."""
    FAILED = "Failed"
    """It runs once, has not ended well, and is not tried again."""


FAILED_RUNS_MAX: Final = 3
"""Of a schedule, in a row: one may be an accident of its time, three are not."""
_KILLED: Final = {
    "MemoryExceeded": "memory limit exceeded",
    "DiskExceeded": "disk limit exceeded",
    "ProbeFailed": "liveness probe failed",
    "DeadlineExceeded": "time limit exceeded",
}


def _ended_by(number: int) -> str:
    names = {each.value: each.name for each in signal.Signals}
    return f"ended by {names.get(number, f'signal {number}')}"


@dataclass(frozen=True)
class Instance:
    """One instance of a revision. `is_ready` decides on traffic, `is_live` on restarts.

    One that runs once is both when it has ended well: there is nothing to wait for or to start
    again. That of a schedule is the schedule itself. A run that failed is its reason, and leaves it
    ready; `FAILED_RUNS_MAX` in a row do not.
    """

    id: str
    revision: int
    is_ready: bool
    is_live: bool
    started_at: datetime
    """Start of the current process; it changes with every restart, like `pid`."""
    restarts: int = 0
    pid: int | None = None
    address: str | None = None
    """host:port for probes; None for workers."""
    reason: str = ""
    """Why it is not ready: Starting, ProbeFailed, Exited, Stopping, CannotStart,
    SecretUnavailable, MemoryExceeded, DiskExceeded, DeadlineExceeded; of a schedule RunFailed, also
    while ready."""
    message: str = ""
    """What `reason` is about, in words: what the readiness probe got last, or why it cannot start.
    Empty where nothing more is known."""
    restarted_at: datetime | None = None
    """Start of the process that `restarts` counted last; None where it counts none."""
    exit_code: int | None = None
    """Of the process before this one; -9 was ended by signal 9. None where nobody collected it."""
    exit_reason: str = ""
    """Why that process ended: Exited, ProbeFailed, MemoryExceeded, DiskExceeded, DeadlineExceeded;
    empty where none did."""
    failed_starts: int = 0
    """How often it could not be started since it last had a process; `message` says why."""
    is_resuming: bool = False
    """It was found dead when supervision began again, and has not been ready since.

    It was stopped together with the supervisor, or it ended while no supervisor ran.
    """

    @property
    def last_exit(self) -> str:
        """Return how the process before this one ended, in words; empty where none did."""
        if self.exit_reason in _KILLED:
            return _KILLED[self.exit_reason]
        if self.exit_code is None:
            return "exit status unknown" if self.exit_reason else ""
        if self.exit_code < 0:
            return _ended_by(-self.exit_code)
        return f"exit status {self.exit_code}"

    @property
    def unready_because(self) -> str:
        """Return why it is not ready: the reason and what that is about; empty when it is ready."""
        if self.is_ready:
            return ""
        return ": ".join(part for part in (self.reason or "NotReady", self.message) if part)


@dataclass(frozen=True)
class LiveRevision:
    """`replicas` is the desired number; `unit`, `version` and `artifact` are as applied."""

    revision: int
    version: str
    artifact: str
    replicas: int
    phase: Phase
    instances: tuple[Instance, ...]
    unit: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    replicas_owner: ReplicasOwner = ReplicasOwner.PLATFORM
    is_active: bool = True
    """False for a schedule that starts no runs."""
    minimum: int | None = None
    """The fewest instances that the rules allow, where the surface owns the number."""

    @property
    def ready(self) -> int:
        return sum(instance.is_ready for instance in self.instances)

    @property
    def needed(self) -> int:
        """How many ready instances carry all requests.

        What rules ask for beyond their minimum is growth, and may never fit: until it is ready
        nothing is lost.
        """
        if self.minimum is None:
            return self.replicas
        return min(self.replicas, max(1, self.minimum))


def live_revision(
    spec: RevisionSpec, phase: Phase, instances: Sequence[Instance], reason: str = ""
) -> LiveRevision:
    """Return the revision that *spec* asked for, with its *instances*."""
    return LiveRevision(
        spec.revision,
        spec.version,
        spec.artifact,
        spec.replicas,
        phase,
        tuple(instances),
        spec.unit,
        reason,
    )


@dataclass(frozen=True)
class LiveComponent:
    """`weights` are those in force in the traffic layer, zeros left out."""

    component: SurfaceComponent
    revisions: tuple[LiveRevision, ...]
    weights: Mapping[int, int]
    endpoint: str | None
    """URL through the traffic layer; None for workers."""
    fence: int = 0
    """The highest fencing token that wrote here; a higher one than before shows a change by us."""

    def revision(self, number: int) -> LiveRevision | None:
        return next((r for r in self.revisions if r.revision == number), None)


@dataclass(frozen=True)
class Unread:
    """A part of an inventory that could not be read, and why, in a sentence for an operator.

    `service` is None where it is not known which components the part has.
    """

    reason: str
    service: ServiceId | None = None

    def reason_for(self, services: Collection[str]) -> str:
        """Return why, for a tenant that has *services*; the reason of another's may name it."""
        if self.service is None or self.service in services:
            return self.reason
        return "a component that is not known here could not be read"


@dataclass(frozen=True)
class Inventory:
    """The live components of an environment, and what could not be read of it."""

    components: tuple[LiveComponent, ...]
    unread: tuple[Unread, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether a component that is not among `components` does not exist."""
        return not self.unread

    def may_have(self, service: ServiceId) -> bool:
        """Return whether *service* may be in a part that could not be read."""
        return any(part.service in {None, service} for part in self.unread)

    def unread_because(self, services: Collection[str]) -> str:
        """Return why it is not complete, for a tenant that has *services*."""
        return "; ".join(part.reason_for(services) for part in self.unread)


@dataclass(frozen=True)
class LiveProof:
    """The release that one live instance runs: its start as the surface recorded it, and its files.

    `content_digest` is computed over the folder it runs from and `expected_digest` over the
    artifact, so they differ when a file was changed. `release` is the workload's own answer where
    the spec has a release question, else the version of the recorded start (`release_source` says
    which: `answer` or `start`). `departs` lists each difference in words.
    """

    instance: str
    revision: int
    artifact: str
    content_digest: str
    expected_digest: str
    release: str
    release_source: str
    unit: Mapping[str, str]
    checked_at: datetime
    departs: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.departs


_UNLIMITED: Final = Resources()


@dataclass(frozen=True)
class Site:
    """`endpoint` is the environment's one public URL; it stays the same across restarts."""

    environment: EnvironmentId
    endpoint: str
    is_ready: bool
    facts: Mapping[str, str] = field(default_factory=dict)
    fence: int = 0
    servers: tuple[LiveServer, ...] = ()
    capacity: Resources = _UNLIMITED
    """What all workloads of its owner are held to together."""
    volumes: tuple[str, ...] | None = None
    """The names of its folders of data that are there; None of a surface that has none, or from a
    version that did not look."""
