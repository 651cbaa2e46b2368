"""An operation: long work as a resource that can be watched and, where possible, canceled.

Its id is also the id of the orchestration that does the work. It is committed together with the
aggregate it belongs to and read by clients at `/v1/runtime/operations/{operationId}`.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shared.kernel.clock import isoformat
from shared.kernel.context import Cause
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict

HEARTBEAT_TIMEOUT: Final = timedelta(minutes=2)
"""An unfinished operation without a heartbeat for this long is started again."""
STEPS_MAX: Final = 200
"""The latest steps are kept, as many as the resource shows."""
SUPERSEDED: Final = "OperationSuperseded"
CANCELED: Final = "OperationCanceled"
ABANDONED: Final = "OperationAbandoned"


class OperationStatus(StrEnum):
    """As pollers of Azure Resource Manager know them: `az`, `azure.core.polling`."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


TERMINAL: Final = frozenset(
    {OperationStatus.SUCCEEDED, OperationStatus.FAILED, OperationStatus.CANCELED}
)


class OperationAlreadyEnded(Conflict):
    """The operation has ended; only NotStarted and Running ones can be changed."""

    def __init__(self, operation: "Operation") -> None:
        super().__init__(
            f"operation {operation.operation_id} has ended as {operation.status}; only NotStarted"
            " and Running ones can be changed"
        )


class OperationSuperseded(Conflict):
    """Another operation has taken the aggregate over; this one changes nothing."""

    code = SUPERSEDED

    def __init__(self, operation_id: str, by: str) -> None:
        super().__init__(f"operation {operation_id} was superseded by {by}")


@dataclass(frozen=True)
class OperationStep:
    """One step. `ended_at` is None while it runs; `detail` is a sentence for people."""

    name: str
    state: str
    started_at: str
    ended_at: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Operation:
    """`resource` is the path of what is worked on; `owner` the caller who asked for it.

    `orchestration` and `input` are what a lost instance is started with again.
    """

    operation_id: str
    kind: str
    resource: str
    owner: str
    orchestration: str
    input: Mapping[str, Any]
    created_at: str
    heartbeat_at: str
    status: OperationStatus = OperationStatus.NOT_STARTED
    percent: int = 0
    steps: tuple[OperationStep, ...] = ()
    waiting_for: str | None = None
    wait_name: str | None = None
    outage: str | None = None
    """What the last attempt at its step found away; None once one has gone on."""
    cancel_requested: bool = False
    recorded: Mapping[str, Any] = field(default_factory=dict)
    """The recorded pieces of work, each with the JSON that it answered; a repeat has no effect."""
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    ended_by: str | None = None
    """The recorded piece of work that ended it; None where it was ended from outside."""
    attempts: int = 0
    """How often a sweep failed on it: each time it is due later."""
    trace_id: str = "trace-0"
    correlation_id: str = "corr-0"
    causation_id: str | None = None

    @property
    def aggregate_id(self) -> str:
        """The id of the aggregate that it works on; empty where its input is damaged."""
        identity = self.input.get("aggregateId")
        return identity if isinstance(identity, str) else ""

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def begin_step(
        self, name: str, now: datetime, *, percent: int, detail: str | None = None
    ) -> "Operation":
        """Return this operation with the step *name* running; a repeat changes only the times.

        Steps that were running before are closed as succeeded: an orchestration does one at a time.
        """
        if self.is_terminal:
            return self
        at = isoformat(now)
        steps = list(self.steps)
        if steps and steps[-1].name == name and steps[-1].ended_at is None:
            steps[-1] = replace(steps[-1], detail=detail or steps[-1].detail)
        else:
            steps = [_closed(step, "Succeeded", at) for step in steps]
            steps = [*steps, OperationStep(name, "Running", at, detail=detail)][-STEPS_MAX:]
        return replace(
            self,
            status=OperationStatus.RUNNING,
            percent=max(self.percent, min(percent, 99)),
            steps=tuple(steps),
            heartbeat_at=at,
            waiting_for=None,
            wait_name=None,
        )

    def wait(self, waiting_for: str, wait_name: str, now: datetime) -> "Operation":
        """Return this operation waiting for the external event *wait_name*."""
        if self.is_terminal:
            return self
        return replace(
            self,
            status=OperationStatus.RUNNING,
            waiting_for=waiting_for,
            wait_name=wait_name,
            heartbeat_at=isoformat(now),
        )

    def with_outage(self, outage: str | None) -> "Operation":
        """Return this operation with what its step has found away, None where it has not.

        It is no heartbeat.
        """
        return self if self.is_terminal else replace(self, outage=outage)

    def succeed(self, result: Mapping[str, Any], now: datetime) -> "Operation":
        """Return this operation as succeeded; ending an ended one changes nothing."""
        return self._end(OperationStatus.SUCCEEDED, now, result=result)

    def fail(self, code: str, message: str, now: datetime) -> "Operation":
        """Return this operation as failed; ending an ended one changes nothing."""
        error = {"code": code, "message": message}
        return self._end(OperationStatus.FAILED, now, error=error)

    def cancel(
        self,
        now: datetime,
        *,
        code: str = CANCELED,
        message: str = "canceled by a caller",
    ) -> "Operation":
        """Return this operation as canceled; ending an ended one changes nothing."""
        error = {"code": code, "message": message}
        return self._end(OperationStatus.CANCELED, now, error=error)

    def supersede(self, by: str, now: datetime) -> "Operation":
        """Return this operation as canceled because *by* has taken its aggregate over."""
        message = OperationSuperseded(self.operation_id, by).message
        return self.cancel(now, code=SUPERSEDED, message=message)

    def request_cancel(self) -> "Operation":
        """Return this operation with the request to stop at its next step.

        Raises:
            OperationAlreadyEnded: it has ended.
        """
        if self.is_terminal:
            raise OperationAlreadyEnded(self)
        return replace(self, cancel_requested=True)

    def _end(
        self,
        status: OperationStatus,
        now: datetime,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> "Operation":
        if self.is_terminal:
            return self
        at = isoformat(now)
        return replace(
            self,
            status=status,
            percent=100 if status is OperationStatus.SUCCEEDED else self.percent,
            steps=tuple(_closed(step, status.value, at) for step in self.steps),
            heartbeat_at=at,
            waiting_for=None,
            wait_name=None,
            outage=None,
            result=result,
            error=error,
        )


def accept(
    operation_id: str,
    kind: str,
    resource: str,
    owner: str,
    orchestration: str,
    argument: Mapping[str, Any],
    now: datetime,
    cause: Cause | None = None,
) -> Operation:
    """Return a new operation that waits to be picked up; it is part of the work of *cause*."""
    at = isoformat(now)
    operation = Operation(operation_id, kind, resource, owner, orchestration, argument, at, at)
    if cause is None:
        return operation
    return replace(
        operation,
        trace_id=cause.trace_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
    )


def _closed(step: OperationStep, state: str, at: str) -> OperationStep:
    return step if step.ended_at else replace(step, state=state, ended_at=at)
