"""The InfrastructureEngine port: preview a stack, run a plan as a job, read the record.

A run is a job because an update by Pulumi is one long process, which no activity can hold. How the
port is kept with Pulumi's Automation API in a Container Apps job:

start     stores plan, fence and run id in a blob named by the run, which a repeat finds, and starts
          an execution. That previews first, so a changed plan may also end the run `PlanChanged`.
observe   reads the event log that the execution appends: a step per resource. An execution that is
          gone without a summary is started again: it takes the lock of the dead one away
          (`stack.cancel`), imports or drops pending operations, refreshes and goes on.
cancel    marks the blob, or makes it; the execution sends Pulumi one SIGINT, which ends it between
          resources.
fences    Pulumi has a lock and no token, so the blob of the stack keeps the highest one, and a
          newer run waits for the end of the execution that it supersedes.
"""

from collections.abc import Mapping
from typing import Any, Final, NewType, Protocol, TypeAlias

from shared.infrastructure.graph import RecordedResource, ResourceAction, ResourceIdentity, Urn
from shared.infrastructure.inputs import EnvironmentInputs
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation
from shared.kernel.fence import Fence
from shared.kernel.observation import Reading, Unknown

StackName = NewType("StackName", str)
"""Lower-case letters, digits and `-`, at most 100; an environment's id is one."""
NOT_STARTED: Final = "RunNotStarted"
"""The end of a run that was canceled before its start arrived; the start then begins nothing."""


@dataclass(frozen=True)
class PlannedChange(ResourceIdentity):
    """The action that a run would take on one resource, and the property paths that cause it."""

    action: ResourceAction
    paths: tuple[str, ...] = ()
    dependencies: tuple[Urn, ...] = ()


@dataclass(frozen=True)
class MonthlyCost:
    """An estimate, and a sentence about its basis."""

    amount: float
    currency: str
    basis: str


@dataclass(frozen=True)
class Preview:
    """What an update would do. Nothing was changed to find out.

    `plan_hash` depends on what the program declares and on the recorded state alone: equal hashes,
    equal plans. `monthly_cost` is None when unknown. An update cannot start while there are
    `refusals`.
    """

    stack: StackName
    changes: tuple[PlannedChange, ...]
    refusals: tuple[Violation, ...]
    monthly_cost: MonthlyCost | None
    plan_hash: str

    @property
    def is_empty(self) -> bool:
        return all(change.action is ResourceAction.SAME for change in self.changes)


@dataclass(frozen=True)
class RunId:
    """One run of one stack. The caller chooses `name`; a start under the same name is a repeat.

    A name is an operation's id, followed by the kind of run where the operation has several.
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
class RemainingResource:
    """A resource that is not as its run wanted it, and why.

    `code` is `NotReached` after an update, `Retained`, `Protected` or `HeldBy` (another one needs
    it) after a destroy, or that of the provider's refusal.
    """

    urn: Urn
    name: str
    code: str
    reason: str


@dataclass(frozen=True)
class RunInProgress:
    """`steps_total` is 0 while it is not known; `trouble` says why a step is tried again.

    `steps` names those that are done, in their order, as far as they are known.
    """

    steps_done: int
    steps_total: int
    current_step: str
    trouble: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunSucceeded:
    """The run has ended: the stack's outputs, what a destroy left, the names of all its steps."""

    outputs: Mapping[str, Any]
    left: tuple[RemainingResource, ...] = ()
    steps: tuple[str, ...] = ()


RUN_CANCELED: Final = "Canceled"
"""The code of a run that was canceled; stored with it."""


@dataclass(frozen=True)
class RunFailed:
    """The run has ended early; what it did stays, by name in `steps`.

    `left` is every resource not as planned.

    `code` is `Canceled`, `RunNotStarted`, `RunSuperseded` (by a newer fence), `StepFailed`,
    `StepDefect`, `Unavailable`, or that of an error of `start` that showed later.
    """

    code: str
    message: str
    left: tuple[RemainingResource, ...]
    steps: tuple[str, ...] = ()


RunStatus: TypeAlias = RunInProgress | RunSucceeded | RunFailed | Unknown


@dataclass(frozen=True)
class StackView:
    """The record of a stack."""

    stack: StackName
    resources: tuple[RecordedResource, ...]
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class RefreshResult:
    """The differences between the record and what was read; `unknown` ones stay as recorded."""

    changed: tuple[Urn, ...]
    absent: tuple[Urn, ...]
    unknown: tuple[Urn, ...]


class InfrastructureEngine(Protocol):
    """One engine; a stack has one writer at a time, the one with the highest fencing token.

    `start` records a run and returns, `observe` returns its progress, `cancel` ends it between two
    steps. After a kill of the process that does the steps, the next `observe` or repeated `start`
    resumes the run from the record.

    Every method raises Unavailable when something it needs is away; repeat it. Those that take a
    fence raise StaleFence, and change nothing, once the stack has seen a higher token.
    """

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        """Evaluate the program and compare it with the record.

        Raises:
            Invalid: *inputs* describe no environment; every violation is listed.
            PlanRefused: the program does not accept them.
        """
        ...

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        """Begin *plan* as the run *run_id*; a run that was started before is only resumed.

        A run of the stack that is in progress under a lower token ends as `RunSuperseded`.

        Raises:
            PlanChanged: stack or program changed since the update was previewed.
            PlanRefused: the plan has refusals; every one is listed.
            StackBusy: another run of the stack is in progress under the same token.
        """
        ...

    async def observe(self, run_id: RunId) -> RunStatus:
        """Return the status of *run_id*; Unknown also when no such run is recorded: start it again.

        The ends of the last ten runs of a stack are kept.
        """
        ...

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        """End the run between two steps, as Failed `Canceled`; one that has ended stays as it is.

        One that is not recorded ends as `RunNotStarted`: a start that comes later begins nothing.
        """
        ...

    async def refresh(self, stack: StackName, fence: Fence) -> RefreshResult:
        """Read every recorded resource and record it as it is now.

        A run that is in progress under a lower token ends as `RunSuperseded`.
        """
        ...

    async def read(self, stack: StackName) -> Reading[StackView]:
        """Return the record; Absent when it has no resource."""
        ...
