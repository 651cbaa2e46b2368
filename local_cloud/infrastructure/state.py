"""The recorded state of a stack, and the StackStates port that keeps it.

`version` counts saves and is the guard of the next one; `token` is the highest fencing token seen.
A stack that was destroyed keeps both: a late writer stays refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias

from shared.infrastructure.graph import (
    Graph,
    RecordedResource,
    ResourceAction,
    ResourceIdentity,
    Urn,
)
from shared.infrastructure.port import RemainingResource, RunFailed, RunSucceeded, StackName
from shared.kernel.fence import Fence, StaleFence
from shared.persistence.codec import DocumentCodec

ENDED_RUNS_KEPT: Final = 10
"""Who observes a run does so within minutes of its end; a stack has a few runs a day."""

RunEnd: TypeAlias = RunSucceeded | RunFailed


@dataclass(frozen=True)
class ResourceStep(ResourceIdentity):
    """One bounded piece of a run: a create, an update or a delete of one resource.

    A replacement is two: its delete, then its create.
    """

    index: int
    action: ResourceAction

    def __str__(self) -> str:
        return f"{self.action} {self.name} ({self.type})"


@dataclass(frozen=True)
class StackRun:
    """The run that is in progress; `graph` is that of an update, None for a destroy."""

    name: str
    fence: Fence
    steps: tuple[ResourceStep, ...]
    graph: Graph | None = None
    done: frozenset[int] = frozenset()
    left: tuple[RemainingResource, ...] = ()
    is_cancel_requested: bool = False

    @property
    def remaining(self) -> tuple[ResourceStep, ...]:
        return tuple(step for step in self.steps if step.index not in self.done)

    @property
    def done_names(self) -> tuple[str, ...]:
        return tuple(str(step) for step in self.steps if step.index in self.done)


@dataclass(frozen=True)
class EndedRun:
    """How a run of the stack ended."""

    name: str
    end: RunEnd


@dataclass(frozen=True)
class StackState:
    """`resources` stand in the order of their making, `ended` runs in that of their end."""

    stack: StackName
    version: int = 0
    token: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[RecordedResource, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    run: StackRun | None = None
    ended: tuple[EndedRun, ...] = ()

    def resource(self, urn: Urn) -> RecordedResource | None:
        return next((resource for resource in self.resources if resource.urn == urn), None)

    def with_resource(self, recorded: RecordedResource) -> "StackState":
        """Return the state with *recorded* in its old place, or last."""
        by_urn = {old.urn: old for old in self.resources} | {recorded.urn: recorded}
        return replace(self, resources=tuple(by_urn.values()))

    def without_resource(self, urn: Urn) -> "StackState":
        resources = (resource for resource in self.resources if resource.urn != urn)
        return replace(self, resources=tuple(resources))

    def active_run(self, name: str) -> StackRun | None:
        """Return the run *name* while it is in progress."""
        return self.run if self.run is not None and self.run.name == name else None

    def knows_run(self, name: str) -> bool:
        """Return whether the run *name* is in progress or has ended."""
        return self.active_run(name) is not None or self.end_of(name) is not None

    def end_of(self, name: str) -> RunEnd | None:
        """Return how the run *name* ended; None while it has not, or when it is not known."""
        return next((run.end for run in self.ended if run.name == name), None)

    def with_end(self, name: str, end: RunEnd) -> "StackState":
        """Return the state after the run *name*, which may not have started."""
        ended = (*self.ended, EndedRun(name, end))[-ENDED_RUNS_KEPT:]
        return replace(self, run=None if self.active_run(name) else self.run, ended=ended)

    def held_by(self, fence: Fence) -> "StackState":
        """Return the state held by *fence*.

        Raises:
            StaleFence: a higher token was here.
        """
        if fence.token < self.token:
            raise StaleFence(f"stack {self.stack}", fence, self.token)
        return self if fence.token == self.token else replace(self, token=fence.token)


def _without_run(body: dict[str, Any]) -> dict[str, Any]:
    # Schema 1 recorded a run in another form. One that was open then is not resumed; the next run
    # reads the resources that it left in doubt.
    return {**body, "run": None}


STATE_CODEC: Final = DocumentCodec(
    StackState, "stackState", key="stack", schema=2, upgrades={1: _without_run}
)


class StackStates(Protocol):
    """Keeps one state per stack; a save is whole and durable, or it did not happen."""

    async def load(self, stack: StackName) -> StackState:
        """Return the state, one of version 0 for a stack never saved. Raises Unavailable."""
        ...

    async def save(self, state: StackState) -> StackState:
        """Store *state* over the version it was loaded as, and return it one version later.

        Raises:
            Stale: another save came between.
        """
        ...
