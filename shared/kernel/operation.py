"""An operation: long work as a resource that can be watched and, where it has a meaning, cancelled.

Its id is also the id of the orchestration that does the work. It is committed together with the
aggregate it belongs to and read by clients at `/v1/runtime/operations/{operationId}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shared.kernel.clock import isoformat
from shared.kernel.errors import Conflict

HEARTBEAT_TIMEOUT: Final = timedelta(minutes=2)
"""An unfinished operation that has not been heard of for so long is enqueued again."""


class OperationState(StrEnum):
    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


TERMINAL: Final = frozenset(
    {OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED}
)


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
    state: OperationState = OperationState.NOT_STARTED
    percent: int = 0
    steps: Sequence[OperationStep] = ()
    waiting_for: str | None = None
    wait_name: str | None = None
    cancel_requested: bool = False
    recorded: Sequence[str] = ()
    """Keys of the pieces of work whose effect is recorded; a repeat of one has none."""
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL


def accept(
    operation_id: str,
    kind: str,
    resource: str,
    owner: str,
    orchestration: str,
    argument: Mapping[str, Any],
    now: datetime,
) -> Operation:
    """Return a new operation that waits to be picked up."""
    at = isoformat(now)
    return Operation(operation_id, kind, resource, owner, orchestration, argument, at, at)


def begin_step(
    operation: Operation, name: str, now: datetime, *, percent: int, detail: str | None = None
) -> Operation:
    """Return *operation* with *name* running; beginning the running step again changes only times.

    Steps that were running before are closed as succeeded: an orchestration does one at a time.
    """
    if operation.is_terminal:
        return operation
    at = isoformat(now)
    steps = list(operation.steps)
    if steps and steps[-1].name == name and steps[-1].ended_at is None:
        steps[-1] = replace(steps[-1], detail=detail or steps[-1].detail)
    else:
        steps = [_closed(step, "Succeeded", at) for step in steps]
        steps.append(OperationStep(name, "Running", at, detail=detail))
    return replace(
        operation,
        state=OperationState.RUNNING,
        percent=max(operation.percent, min(percent, 99)),
        steps=tuple(steps),
        heartbeat_at=at,
        waiting_for=None,
        wait_name=None,
    )


def wait(operation: Operation, waiting_for: str, wait_name: str, now: datetime) -> Operation:
    """Return *operation* waiting for the nudge *wait_name*."""
    if operation.is_terminal:
        return operation
    return replace(
        operation,
        state=OperationState.RUNNING,
        waiting_for=waiting_for,
        wait_name=wait_name,
        heartbeat_at=isoformat(now),
    )


def succeed(operation: Operation, result: Mapping[str, Any], now: datetime) -> Operation:
    """Return *operation* ended well; ending an ended one changes nothing."""
    return _end(operation, OperationState.SUCCEEDED, "Succeeded", now, result=result)


def fail(operation: Operation, code: str, message: str, now: datetime) -> Operation:
    """Return *operation* ended with an error; ending an ended one changes nothing."""
    error = {"code": code, "message": message}
    return _end(operation, OperationState.FAILED, "Failed", now, error=error)


def cancel(operation: Operation, now: datetime) -> Operation:
    """Return *operation* ended by a cancellation; ending an ended one changes nothing."""
    return _end(operation, OperationState.CANCELLED, "Cancelled", now)


def request_cancel(operation: Operation) -> Operation:
    """Return *operation* asked to stop at its next step.

    Raises:
        Conflict: it has ended.
    """
    if operation.is_terminal:
        raise Conflict(
            f"operation {operation.operation_id} has ended as {operation.state}; "
            "only NotStarted and Running can be cancelled",
            code="OperationEnded",
        )
    return replace(operation, cancel_requested=True)


def to_body(operation: Operation) -> dict[str, Any]:
    """Return the document body; `dueAt` is when a silent operation is enqueued again."""
    body = asdict(operation) | {"type": "operation", "state": operation.state.value}
    body["steps"] = [asdict(step) for step in operation.steps]
    body["recorded"] = list(operation.recorded)
    if not operation.is_terminal:
        due = datetime.fromisoformat(operation.heartbeat_at) + HEARTBEAT_TIMEOUT
        body["dueAt"] = isoformat(due)
    return body


def from_body(body: Mapping[str, Any]) -> Operation:
    """Return the operation that *body* holds."""
    fields = {name: body[name] for name in Operation.__dataclass_fields__}
    fields["state"] = OperationState(fields["state"])
    fields["steps"] = tuple(OperationStep(**step) for step in fields["steps"])
    fields["recorded"] = tuple(fields["recorded"])
    return Operation(**fields)


def document_id(operation_id: str) -> str:
    return f"operation/{operation_id}"


def _end(
    operation: Operation,
    state: OperationState,
    step_state: str,
    now: datetime,
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> Operation:
    if operation.is_terminal:
        return operation
    at = isoformat(now)
    return replace(
        operation,
        state=state,
        percent=100 if state is OperationState.SUCCEEDED else operation.percent,
        steps=tuple(_closed(step, step_state, at) for step in operation.steps),
        heartbeat_at=at,
        waiting_for=None,
        wait_name=None,
        result=result,
        error=error,
    )


def _closed(step: OperationStep, state: str, at: str) -> OperationStep:
    return step if step.ended_at else replace(step, state=state, ended_at=at)
