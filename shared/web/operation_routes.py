"""Operations over HTTP: list, watch, cancel, abandon."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.durable.activity import AbandonOperation
from shared.durable.operations import OPERATIONS, operation_document, put_operation
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.operation import Operation, OperationAlreadyEnded, request_cancel
from shared.kernel.scope import ADMIN
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import Audited, Decision, Outcome, View
from shared.persistence.store import Document, Partition, partition_of
from shared.web.collection import Collection
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get, post

if TYPE_CHECKING:
    from shared.web.administration import Administration

READ: Final = "runtime.operations.read"
WRITE: Final = "runtime.operations.write"
LIST: Final = Collection(
    OPERATIONS, {"status": "status", "kind": "kind"}, order_by="created_at", descending=True
)
_WAIT_MAX_S: Final = 25
_POLL_FIRST_S: Final = 0.2
_POLL_GROWTH: Final = 1.5
_POLL_MAX_S: Final = 2.0
"""25 s are 17 reads; an operation that ends at once is answered at once."""

EndOperation = Callable[[Operation, Context, Any], Awaitable[object]]
"""`async def name(operation, ctx, app)`: changes operation and aggregate in one batch."""


class CancelNotPossible(Conflict):
    """Operations of this kind are not canceled; the message says what to do instead."""

    code = "CancelNotPossible"


@dataclass(frozen=True)
class OperationControl:
    """How the operations of one kind are ended from outside.

    `cancel` is the use case that cancels, `cooperative_cancel`, or the sentence with which it is
    refused. `abandon` ends an operation that nothing else can end, and frees its aggregate.
    """

    cancel: EndOperation | str
    abandon: AbandonOperation


def rows(root: str) -> Sequence[Route]:
    """Return the routes of operations below *root*."""
    one = f"{root}/operations/{{operationId}}"
    return (
        get(f"{root}/operations", list_operations, READ, query=LIST.parameters),
        get(one, get_operation, READ, query=("wait",)),
        post(f"{one}/cancel", cancel_operation, WRITE, status=200),
        post(f"{one}/abandon", abandon_operation, ADMIN, status=200),
    )


async def list_operations(request: Request[None], app: "Administration") -> Answer:
    """Answer the tenant's operations, newest first."""
    return await LIST.answer(request, app.service.store, render)


async def get_operation(request: Request[None], app: "Administration") -> Answer:
    """Answer the operation; `wait=<s>` holds the answer until it differs from `If-None-Match`."""
    partition, document_id = _address(request)
    wait_s = request.number("wait", 0, least=0, most=_WAIT_MAX_S)
    clock = app.service.clock
    until_s = clock.monotonic_s() + wait_s
    poll_s = _POLL_FIRST_S
    while True:
        document = await _read(request, app, partition, document_id)
        operation = OPERATIONS.decode(document.body)
        is_changed = document.etag != request.if_none_match
        is_settled = operation.is_terminal or (is_changed and request.if_none_match is not None)
        if is_settled or clock.monotonic_s() >= until_s:
            if not is_changed:
                return Answer(304, None, {"ETag": document.etag})
            answer = ok(render(operation), etag=document.etag)
            if operation.is_terminal:
                return answer
            return Answer(200, answer.body, {**answer.headers, "Retry-After": "1"})
        await clock.sleep(min(poll_s, until_s - clock.monotonic_s()))
        poll_s = min(_POLL_MAX_S, poll_s * _POLL_GROWTH)


async def cancel_operation(request: Request[None], app: "Administration") -> Answer:
    """Cancel the operation, or answer 409 with the reason why its kind is not canceled."""
    operation = await _running(request, app)
    control = app.operations.get(operation.kind)
    reason = (
        control.cancel if control else f"operations of kind {operation.kind} cannot be canceled"
    )
    if isinstance(reason, str):
        raise CancelNotPossible(f"{operation.operation_id} was not canceled: {reason}")
    return await _end(request, app, operation, reason)


async def abandon_operation(request: Request[None], app: "Administration") -> Answer:
    """End an operation that nothing else can end, as Failed with `OperationAbandoned`."""
    operation = await _running(request, app)
    control = app.operations.get(operation.kind)
    assert control is not None, f"{operation.kind} has no row in OPERATIONS"
    return await _end(request, app, operation, control.abandon)


async def _end(
    request: Request[None], app: "Administration", operation: Operation, end: EndOperation
) -> Answer:
    outcome = await end(operation, request.ctx, app.app)
    document = await _read(request, app, *_address(request))
    is_repeat = isinstance(outcome, Outcome) and outcome.is_repeat
    headers = {"Repeatability-Result": "accepted"} if is_repeat else {}
    return Answer(200, render(OPERATIONS.decode(document.body)), headers)


async def cooperative_cancel(operation: Operation, ctx: Context, app: Any) -> object:
    """Ask *operation* to stop at its next step: for kinds that stop between two steps."""
    document_id = operation_document(operation.operation_id)

    def decide(view: View) -> Decision[Mapping[str, Any]]:
        body = view.body(document_id)
        assert body is not None, document_id
        asked = request_cancel(OPERATIONS.decode(body))
        return Decision(
            render(asked),
            writes=[put_operation(asked)],
            outbox=[Raise(asked.operation_id, asked.wait_name)] if asked.wait_name else [],
            audited=Audited("CancelOperation", asked.operation_id),
        )

    partition = partition_of(ctx.tenant, operation.operation_id)
    return await app.service.work.commit(ctx, partition, [document_id], decide)


async def _running(request: Request[None], app: "Administration") -> Operation:
    document = await _read(request, app, *_address(request))
    operation = OPERATIONS.decode(document.body)
    if operation.is_terminal:
        raise OperationAlreadyEnded(operation)
    return operation


async def _read(
    request: Request[None], app: "Administration", partition: Partition, document_id: str
) -> Document:
    document = await app.service.store.read(partition, document_id)
    if document is None:
        raise NotFound(f"no operation {request.path['operationId']!r}")
    return document


def _address(request: Request[None]) -> tuple[Partition, str]:
    operation_id = request.path["operationId"]
    return partition_of(request.ctx.tenant, operation_id), operation_document(operation_id)


def render(operation: Operation) -> Mapping[str, Any]:
    """Return the resource that clients see (`shared.contracts.operations.Operation`)."""
    is_ended = operation.is_terminal
    return {
        "operationId": operation.operation_id,
        "kind": operation.kind,
        "status": operation.status.value,
        "resourceId": operation.resource,
        "percent": operation.percent,
        "owner": operation.owner,
        "heartbeatAt": operation.heartbeat_at,
        "waitingFor": operation.waiting_for,
        "cancelRequested": operation.cancel_requested,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "startedAt": step.started_at,
                "endedAt": step.ended_at,
                "message": step.detail or "",
            }
            for step in operation.steps
        ],
        "result": operation.result,
        "error": operation.error,
        "createdAt": operation.created_at,
        "updatedAt": operation.heartbeat_at,
        "endedAt": operation.heartbeat_at if is_ended else None,
    }
