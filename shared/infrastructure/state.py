"""What is recorded of a stack, and the StackStates port that keeps it.

`version` counts saves and is the guard of the next one; `token` is the highest fencing token seen.
A stack that was destroyed keeps both: a late writer stays refused.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from shared.infrastructure.errors import Overtaken
from shared.infrastructure.graph import Graph, Properties, Urn, graph_from_json, graph_to_json
from shared.infrastructure.port import Change, Left, Run, RunKind, StackName, Step
from shared.kernel.fence import Fence


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

    def admit(self, fence: Fence) -> "StackState":
        """Return the state held by *fence*.

        Raises:
            Overtaken: a higher token was here.
        """
        if fence.token < self.token:
            raise Overtaken(f"stack {self.stack}", fence, self.token)
        return self if fence.token == self.token else replace(self, token=fence.token)


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
    document = asdict(state)
    document["graph"] = None if state.graph is None else graph_to_json(state.graph)
    if state.run is not None:
        document["run"]["done"] = sorted(state.run.done)
    return document


def state_from_json(document: Mapping[str, Any]) -> StackState:
    run, graph = document["run"], document["graph"]
    return StackState(
        stack=StackName(document["stack"]),
        version=document["version"],
        token=document["token"],
        inputs=document["inputs"],
        resources=tuple(_recorded(row) for row in document["resources"]),
        outputs=document["outputs"],
        run=None if run is None else _run(run),
        graph=None if graph is None else graph_from_json(graph),
    )


def _recorded(row: Mapping[str, Any]) -> Recorded:
    doubt = row["in_doubt"]
    dependencies = tuple(Urn(each) for each in row["dependencies"])
    doubtful = None if doubt is None else Change(doubt)
    return Recorded(**{**row, "dependencies": dependencies, "in_doubt": doubtful})


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        id=row["id"],
        kind=RunKind(row["kind"]),
        steps=tuple(Step(**{**each, "verb": Change(each["verb"])}) for each in row["steps"]),
        done=frozenset(row["done"]),
        left=tuple(Left(**each) for each in row["left"]),
        is_finished=row["is_finished"],
    )
