"""What a surface shows: sites, revisions, instances and their proofs, as they are now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.kernel.ids import EnvironmentId
from shared.surfaces.spec import Component


class Phase(StrEnum):
    """Where a revision is on its way; `reason` of the revision says why it does not move on."""

    STARTING = "Starting"
    """Fewer ready instances than asked for, for the first time or after a failure."""
    READY = "Ready"
    DRAINING = "Draining"
    """Removal was asked for; instances finish what they have."""


@dataclass(frozen=True)
class Instance:
    """One running copy. `ready` decides on traffic, `is_live` on restarts."""

    id: str
    revision: int
    is_ready: bool
    is_live: bool
    started_at: datetime
    """Of the process that runs now; equal pid and start mean nothing was restarted."""
    restarts: int = 0
    pid: int | None = None
    address: str | None = None
    """host:port for probes from this machine; None for workers."""
    reason: str = ""
    """One word where it is not ready: Starting, ProbeFailed, Exited, Backoff, MemoryExceeded."""


@dataclass(frozen=True)
class LiveRevision:
    """`replicas` is what was asked for; `unit`, `version`, `artifact` as it was applied."""

    revision: int
    version: str
    artifact: str
    replicas: int
    phase: Phase
    instances: tuple[Instance, ...]
    unit: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    message: str = ""

    @property
    def ready(self) -> int:
        return sum(instance.is_ready for instance in self.instances)


@dataclass(frozen=True)
class LiveComponent:
    """`weights` are those the traffic layer has in force, revisions of weight 0 left out."""

    component: Component
    revisions: tuple[LiveRevision, ...]
    weights: Mapping[int, int]
    endpoint: str | None
    """URL through the traffic layer; None for workers."""
    fence: int = 0
    """Highest fencing token that wrote here: newer than a baseline means somebody's own work."""

    def revision(self, number: int) -> LiveRevision | None:
        return next((r for r in self.revisions if r.revision == number), None)


@dataclass(frozen=True)
class InstanceProof:
    """What one live instance runs, asked from it and not from what was recorded.

    `content_digest` is recomputed over the folder it runs from and `expected_digest` is what the
    artifact gives, so they differ when somebody changed a file. `release` is the workload's own
    answer where the spec has a question for it, else the version in its process environment
    (`release_source` says which). `departs` lists, in words, each difference.
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


@dataclass(frozen=True)
class Site:
    """`endpoint` is the environment's one public URL; it stays the same across restarts."""

    environment: EnvironmentId
    endpoint: str
    is_ready: bool
    facts: Mapping[str, str] = field(default_factory=dict)
    fence: int = 0
