"""Operations as documents: how they are stored, begun by a command, and closed by a successor."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Self, TypeVar

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from shared.contracts.values import Reason
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import NotFound
from shared.kernel.ids import TenantId
from shared.kernel.operation import (
    ABANDONED,
    HEARTBEAT_TIMEOUT,
    Operation,
    OperationAlreadyEnded,
    accept,
    fail,
    supersede,
)
from shared.messaging.outbox import Start
from shared.messaging.unit_of_work import Audited, Put, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import UnreadableDocument

T = TypeVar("T")
_log = logging.getLogger(__name__)

WAITING_TIMEOUT: Final = timedelta(minutes=10)
"""An operation may wait for a day without a heartbeat; it is looked at 144 times, not 720."""


@dataclass(frozen=True)
class OperationInput:
    """The input of every orchestration: its operation's tenant and the aggregate it works on."""

    tenant_id: TenantId
    aggregate_id: str

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True
    )

    @classmethod
    def read(cls, given: Any) -> Self:
        """Return the input that *given*, the JSON of an instance, holds."""
        return TypeAdapter(cls).validate_python(given)

    def start(self, orchestration: str, operation_id: str) -> Start:
        """Return the row that starts *orchestration* with this input."""
        argument = {"tenantId": self.tenant_id, "aggregateId": self.aggregate_id}
        return Start(orchestration, operation_id, argument)


def _due(operation: Operation) -> dict[str, Any]:
    """Return when a silent operation is started again; nothing once it has ended."""
    if operation.is_terminal:
        return {}
    timeout = WAITING_TIMEOUT if operation.wait_name else HEARTBEAT_TIMEOUT
    return {"dueAt": isoformat(datetime.fromisoformat(operation.heartbeat_at) + timeout)}


def _from_schema_1(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body of schema 2.

    Schema 1 said `state`, spelled Canceled with two l, kept no answers of recorded work, and named
    the aggregate in the input by its kind.
    """
    recorded, resource = body.get("recorded", ()), str(body.get("resource"))
    return {
        **body,
        "status": _canceled(body.get("state", "NotStarted")),
        "steps": [{**step, "state": _canceled(step["state"])} for step in body.get("steps", ())],
        "recorded": dict.fromkeys(recorded),
        "input": {"aggregateId": resource.rpartition("/")[2], **body["input"]},
    }


def _canceled(state: str) -> str:
    return "Canceled" if state == "Cancelled" else state


OPERATIONS: Final = DocumentCodec(
    Operation, "operation", schema=2, upgrades={1: _from_schema_1}, queried=_due
)


def operation_document(operation_id: str) -> str:
    """Return the id of the document of *operation_id*."""
    return f"operation/{operation_id}"


def put_operation(operation: Operation) -> Put:
    """Return the write of *operation*."""
    return Put(operation_document(operation.operation_id), OPERATIONS.encode(operation))


def stored_operation(view: View, operation_id: str) -> Operation:
    """Return the operation in *view*. Raises NotFound."""
    body = view.body(operation_document(operation_id))
    if body is None:
        raise NotFound(f"no operation {operation_id!r}")
    return OPERATIONS.decode(body)


def begin_operation(
    ctx: Context, ids: NewIds, *, kind: str, orchestration: str, aggregate_id: str, resource: str
) -> tuple[Operation, Start]:
    """Return the operation of a command and the row that starts its orchestration.

    *resource* is the path of the resource that the operation works on.
    """
    start = OperationInput(ctx.tenant, aggregate_id).start(orchestration, ids.operation_id)
    operation = accept(
        ids.operation_id, kind, resource, ctx.cause.actor, orchestration, start.input, ids.now,
        ctx.cause,
    )  # fmt: skip
    return operation, start


def close_superseded(view: View, operation_id: str, by: str, now: datetime) -> list[Put]:
    """Return the write that ends the running operation *operation_id*, which *by* takes over from.

    Belongs into the batch of the command that takes over: the old orchestration finds its operation
    ended at its next step and writes nothing.
    """
    body = view.body(operation_document(operation_id))
    if body is None:
        return []
    try:
        operation = OPERATIONS.decode(body)
    except UnreadableDocument:
        # It owns nothing any more, with or without its end.
        _log.exception("operation %s, superseded by %s, is left as it is", operation_id, by)
        return []
    if operation.is_terminal:
        return []
    return [put_operation(supersede(operation, by, now))]


def aggregate_of(operation: Operation) -> str:
    """Return the id of the aggregate of *operation*; empty where its input is damaged."""
    identity = operation.input.get("aggregateId")
    return identity if isinstance(identity, str) else ""


def if_readable(find: Callable[[], T | None]) -> T | None:
    """Return what *find* reads of a view; None where it is gone or cannot be read.

    For ending an operation: one whose aggregate is lost has nothing to free.
    """
    try:
        return find()
    except (NotFound, UnreadableDocument):
        _log.exception("an operation ends without its aggregate")
        return None


def abandoned_by(ctx: Context) -> Reason:
    """Return why an operation ends that an administrator gives up."""
    return Reason(code=ABANDONED, message=f"abandoned by {ctx.cause.actor}")


def audited_end(operation: Operation, reason: Reason | None) -> Audited:
    """Return the audit record of *operation* given up, by an administrator or for *reason*."""
    if reason is None:
        return Audited("AbandonOperation", operation.operation_id)
    return Audited("FailOperation", operation.operation_id, reason.code)


def abandon(
    operation: Operation, ctx: Context, reason: Reason | None = None
) -> tuple[dict[str, Any], Put]:
    """Return the answer and the write that end *operation* as Failed for *reason*.

    Without a reason an administrator gave it up.

    Raises:
        OperationAlreadyEnded: it has ended.
    """
    if operation.is_terminal:
        raise OperationAlreadyEnded(operation)
    reason = reason or abandoned_by(ctx)
    failed = fail(operation, reason.code, reason.message, ctx.now())
    return {"operationId": operation.operation_id}, put_operation(failed)
