"""The InfrastructureEngine port: preview a stack, change it one bounded step at a time, read it.

A run (an update or a destroy) is begun once and then taken step by step, so that each step fits one
Durable activity; `shared.infrastructure.run` has the loop for callers without an orchestration.
Beginning, stepping and finishing may be repeated: the answer is that of the first time. A run whose
process was killed goes on where it was: a step that had begun reads the world before it acts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType, Protocol, TypeAlias

from shared.infrastructure.graph import Graph, Urn
from shared.infrastructure.inputs import EnvironmentInputs
from shared.kernel.errors import Violation
from shared.kernel.fence import Fence
from shared.kernel.observation import Reading, Unknown

StackName = NewType("StackName", str)
"""Lower-case letters, digits and `-`, at most 100; an environment's id is one."""


class Change(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"


@dataclass(frozen=True)
class ResourceChange:
    """What a run would do to one resource, and because of which property paths."""

    urn: Urn
    type: str
    name: str
    change: Change
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One bounded piece of a run: a create, an update or a delete of one resource.

    A replacement is two: its delete, then its create. JSON-friendly, as activity input.
    """

    run: str
    index: int
    verb: Change
    urn: Urn
    type: str
    name: str


@dataclass(frozen=True)
class MonthlyCost:
    """An estimate, and the sentence that says what it rests on."""

    amount: float
    currency: str
    basis: str


@dataclass(frozen=True)
class Preview:
    """What an update would do. Nothing was changed to find out.

    `plan_hash` depends on the graph and on the stack's state version and on nothing else: equal
    hashes, equal plans. `monthly_cost` is None when unknown. An update cannot begin while there
    are `refusals`.
    """

    stack: StackName
    graph: Graph
    changes: tuple[ResourceChange, ...]
    steps: tuple[Step, ...]
    refusals: tuple[Violation, ...]
    monthly_cost: MonthlyCost | None
    state_version: int
    plan_hash: str

    @property
    def is_empty(self) -> bool:
        return not self.steps


class RunKind(StrEnum):
    UPDATE = "update"
    DESTROY = "destroy"


@dataclass(frozen=True)
class Left:
    """A resource that a destroy did not delete, and why (`Retained`, `Protected`, `HeldBy`, …)."""

    urn: Urn
    name: str
    code: str
    reason: str


@dataclass(frozen=True)
class Run:
    """A begun update or destroy. `id` is the plan's hash for an update."""

    id: str
    kind: RunKind
    steps: tuple[Step, ...]
    done: frozenset[int] = frozenset()
    left: tuple[Left, ...] = ()
    is_finished: bool = False
    fence: Fence | None = None
    is_cancel_requested: bool = False

    @property
    def remaining(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.index not in self.done)

    @property
    def current_step(self) -> str:
        """Return what is being done now, for people."""
        if not self.remaining:
            return "record the outputs"
        step = self.remaining[0]
        return f"{step.verb} {step.name} ({step.type})"


@dataclass(frozen=True)
class StepOutcome:
    """`left` is set when a destroy could not delete this resource and goes on without it."""

    step: Step
    left: Left | None = None


@dataclass(frozen=True)
class Finished:
    """The end of a run: the stack's outputs, and after a destroy what is still there."""

    outputs: Mapping[str, Any]
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class StackResource:
    """One recorded resource. `in_doubt`: a step on it began and its end is not recorded."""

    urn: Urn
    type: str
    name: str
    properties: Mapping[str, Any]
    outputs: Mapping[str, Any]
    protected: bool
    in_doubt: bool


@dataclass(frozen=True)
class StackView:
    """What is recorded of a stack. `run` is the latest one, ended or not."""

    stack: StackName
    version: int
    resources: tuple[StackResource, ...]
    outputs: Mapping[str, Any]
    run: Run | None


@dataclass(frozen=True)
class Refreshed:
    """What reading every recorded resource brought; `unknown` ones were left as recorded."""

    changed: tuple[Urn, ...]
    absent: tuple[Urn, ...]
    unknown: tuple[Urn, ...]


@dataclass(frozen=True)
class RunId:
    """Names one run of one stack.

    The caller chooses `name`, so that a repeated start is recognised: its operation's id, followed
    by the kind where an operation has several runs.
    """

    stack: StackName
    name: str


@dataclass(frozen=True)
class UpdatePlan:
    """Bring the stack to what *inputs* declare, as previewed under `plan_hash`."""

    inputs: EnvironmentInputs
    plan_hash: str


@dataclass(frozen=True)
class DestroyPlan:
    """Delete every resource of the stack, last first.

    What is named in `retain` (a data resource's, a resource's name or a URN) with its children,
    protected (unless `unprotect`), or needed by one of these is kept, and listed as left.
    """

    retain: tuple[str, ...] = ()
    unprotect: bool = False


StackPlan: TypeAlias = UpdatePlan | DestroyPlan


@dataclass(frozen=True)
class RunInProgress:
    """The run goes on. `current_step` is a sentence for people."""

    steps_done: int
    steps_total: int
    current_step: str


@dataclass(frozen=True)
class RunSucceeded:
    """The run has ended: the stack's outputs, and what a destroy did not delete and why."""

    outputs: Mapping[str, Any]
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class RunFailed:
    """The run has ended early; what it did stays. `left` is every resource not as planned.

    `code` is `Canceled`, `RunSuperseded` (a newer run of the stack began), `StepFailed`,
    `Unavailable` or `StepDefect`; `message` is a sentence for people.
    """

    code: str
    message: str
    left: tuple[Left, ...]


RunStatus: TypeAlias = RunInProgress | RunSucceeded | RunFailed | Unknown


class InfrastructureEngine(Protocol):
    """One engine; a stack has one writer at a time, the one with the highest fencing token.

    A run, an update or a destroy, is a job: `start` records it and returns, `observe` says how far
    it is, `cancel` ends it between two steps. Whatever kills the process, the next `observe` or
    repeated `start` resumes the run from what is recorded.

    Every method raises Unavailable when something it needs is away; repeat it. Those that take a
    fence raise Overtaken, and change nothing, once the stack has seen a higher token.
    """

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        """Begin *plan* as the run *run_id*; a run that was started before is only resumed.

        A run of the stack that is in progress under a lower token ends as `RunSuperseded`.

        Raises:
            PlanMoved: stack or program changed since the update was previewed.
            PlanRefused: the plan has refusals; every one is listed.
            StackBusy: another run of the stack is in progress under the same token.
        """
        ...

    async def observe(self, run_id: RunId) -> RunStatus:
        """Return how *run_id* stands; Unknown also when no such run is recorded: start it again.

        How the last ten runs of a stack ended is kept.
        """
        ...

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        """End the run between two steps, as Failed `Canceled`; one that has ended stays as it is.

        Raises:
            RunUnknown: no such run is recorded.
        """
        ...

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        """Evaluate the program and compare it with what is recorded.

        Raises:
            Invalid: *inputs* describe no environment; every violation is listed.
        """
        ...

    async def begin_update(
        self, stack: StackName, inputs: EnvironmentInputs, plan_hash: str, fence: Fence
    ) -> Run:
        """Record the plan whose hash is *plan_hash* as the stack's run.

        Raises:
            PlanMoved: stack or program changed since that preview.
            PlanRefused: the plan has refusals; every one is listed.
        """
        ...

    async def begin_destroy(
        self,
        stack: StackName,
        fence: Fence,
        *,
        retain: Collection[str] = (),
        unprotect: bool = False,
    ) -> Run:
        """Record the deletion of every resource, last first.

        What is named in *retain* (a data resource's, a resource's name or a URN) with its children,
        protected (unless *unprotect*), or needed by one of these is left out and listed in
        `Run.left`.
        """
        ...

    async def run_step(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        """Do one step of the current run, after those before it.

        Raises:
            StepFailed: an update's provider refused; what is done stays, the rest is named.
            RunUnknown: the step is not of the stack's current run.
            StepsLeft: a step it depends on is not done.
        """
        ...

    async def finish(self, stack: StackName, run_id: str, fence: Fence) -> Finished:
        """End the run and record the stack's outputs.

        Raises:
            StepsLeft: a step is not done.
        """
        ...

    async def refresh(self, stack: StackName, fence: Fence) -> Refreshed:
        """Read every recorded resource and record what is there now."""
        ...

    async def read(self, stack: StackName) -> Reading[StackView]:
        """Return what is recorded; Absent when there is no resource."""
        ...
