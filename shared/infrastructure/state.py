"""What is recorded of a stack, and the StackStates port that keeps it.

`version` counts saves and is the guard of the next one; `token` is the highest fencing token seen.
A stack that was destroyed keeps both: a late writer stays refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from pydantic import TypeAdapter

from shared.infrastructure.errors import Overtaken
from shared.infrastructure.graph import Graph, Properties, Urn
from shared.infrastructure.port import Change, Run, RunFailed, RunKind, RunSucceeded, StackName
from shared.kernel.fence import Fence

SCHEMA: Final = 2
ENDED_RUNS_KEPT: Final = 10
"""Who observes a run does so within minutes of its end; a stack has a few runs a day."""


@dataclass(frozen=True)
class Recorded:
    """One resource: its resolved properties, its outputs, and whether a step on it is open.

    `in_doubt` is written before a provider is called and cleared with its answer: what is in doubt
    may be as before, as intended, or in between, and is read before anything is done to it.
    """

    urn: Urn
    type: str
    name: str
    properties: Properties
    outputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[Urn, ...] = ()
    protected: bool = False
    in_doubt: Change | None = None

    def is_child_of(self, parent: Urn) -> bool:
        """Return whether *parent* is this one's parent resource, as the types in its URN say."""
        chain = parent.split("::")[2]
        return parent in self.dependencies and self.urn.split("::")[2] == f"{chain}${self.type}"

    def has(self, output: str) -> bool:
        return output in self.outputs or output in self.properties

    def output(self, name: str) -> Any:
        """Return an output; what a provider does not say is as it was declared."""
        return self.outputs[name] if name in self.outputs else self.properties[name]


@dataclass(frozen=True)
class EndedRun:
    """How a run of the stack ended."""

    name: str
    kind: RunKind
    end: RunSucceeded | RunFailed


@dataclass(frozen=True)
class StackState:
    """`resources` stand in the order of their making; `graph` is the one of the current update."""

    stack: StackName
    version: int = 0
    token: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    resources: tuple[Recorded, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    graph: Graph | None = None
    ended: tuple[EndedRun, ...] = ()

    def resource(self, urn: Urn) -> Recorded | None:
        return next((each for each in self.resources if each.urn == urn), None)

    def with_resource(self, recorded: Recorded) -> "StackState":
        """Return the state with *recorded* in its old place, or last."""
        if self.resource(recorded.urn) is None:
            return replace(self, resources=(*self.resources, recorded))
        kept = tuple(recorded if each.urn == recorded.urn else each for each in self.resources)
        return replace(self, resources=kept)

    def without_resource(self, urn: Urn) -> "StackState":
        return replace(self, resources=tuple(each for each in self.resources if each.urn != urn))

    def active_run(self, name: str) -> Run | None:
        """Return the run *name* while it is in progress."""
        return self.run if self.run is not None and self.run.id == name else None

    def end_of(self, name: str) -> RunSucceeded | RunFailed | None:
        """Return how the run *name* ended; None while it has not, or when it is not known."""
        return next((run.end for run in reversed(self.ended) if run.name == name), None)

    def with_end(self, run: Run, end: RunSucceeded | RunFailed) -> "StackState":
        """Return the state after *run*."""
        ended = (*self.ended, EndedRun(run.id, run.kind, end))[-ENDED_RUNS_KEPT:]
        return replace(self, run=None, graph=None, ended=ended)

    def admit(self, fence: Fence) -> "StackState":
        """Return the state held by *fence*.

        Raises:
            Overtaken: a higher token was here.
        """
        if fence.token < self.token:
            raise Overtaken(f"stack {self.stack}", fence, self.token)
        return self if fence.token == self.token else replace(self, token=fence.token)


_ADAPTER: Final = TypeAdapter(StackState)


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


def state_to_json(state: StackState) -> dict[str, Any]:
    """Return *state* as JSON; `state_from_json` gives it back."""
    return {"schema": SCHEMA, **_ADAPTER.dump_python(state, mode="json")}


def state_from_json(document: Mapping[str, Any]) -> StackState:
    """Return the state that *document* holds.

    Schema 1 recorded runs by other names: an open one of that time is not resumed, and what it
    left in doubt is read by the next run.

    Raises:
        ValueError: it holds none.
    """
    if document.get("schema", 1) == 1:
        document = {**document, "run": None, "graph": None}
    return _ADAPTER.validate_python(document)
