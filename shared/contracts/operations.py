"""Long-running work as a resource: the answers of `/v1/platform/<app>/operations`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.contracts.shape import Resource, Value
from shared.contracts.values import (
    Instant,
    Json,
    Label,
    OperationId,
    Percent,
    Text,
)
from shared.kernel.operation import OperationStatus


class StepState(StrEnum):
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


class OperationStep(Value):
    name: Label
    state: StepState
    started_at: Instant | None = None
    ended_at: Instant | None = None
    message: Text = ""


class OperationError(Value):
    code: Label
    message: Text
    target: Text | None = None


class OperationSummary(Value):
    """An operation as other resources show it."""

    operation_id: OperationId
    status: OperationStatus
    percent: Percent
    outage: Text | None = None
    """What its step has found away, while it is tried again; it may end the work (ADR 0801)."""


class Operation(Resource):
    """Long-running work that can be watched: `Operation-Location` names it."""

    operation_id: OperationId
    kind: Label
    """The command that began it."""
    status: OperationStatus
    resource_id: Text
    """What it works on, as a path."""
    steps: Annotated[tuple[OperationStep, ...], Field(max_length=200)] = ()
    percent: Percent = 0
    owner: Label | None = None
    """The caller who asked for it."""
    heartbeat_at: Instant | None = None
    """Older than two minutes: it is taken up again from stored state."""
    waiting_for: Label | None = None
    """The event that it waits for: `environment`, `binding`, `queue`, `approval`, …."""
    outage: Text | None = None
    """What its step has found away, while it is tried again; it may end the work (ADR 0801)."""
    cancel_requested: bool = False
    result: Json = None
    error: OperationError | None = None
    created_at: Instant
    updated_at: Instant
    ended_at: Instant | None = None
