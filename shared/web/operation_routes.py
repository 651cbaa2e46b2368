"""Operations over HTTP: list, watch, cancel, abandon."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.durable.abandon import abandon_alone
from shared.durable.operations import OPERATIONS
from shared.durable.recovery import ENDING
from shared.kernel.context import ADMIN
from shared.kernel.errors import Conflict, Refused, Unavailable
from shared.kernel.operation import Operation, OperationAlreadyEnded, OperationStatus
from shared.messaging.unit_of_work import Outcome
from shared.persistence.store import Partition, partition_of
from shared.web.administration import Administration
from shared.web.collection import Collection
from shared.web.request import Answer, Request, repeat_header
from shared.web.routes import Route, get, post

READ: Final = "runtime.operations.read"
WRITE: Final = "runtime.operations.write"
LIST: Final = Collection(
    OPERATIONS,
    {"status": "status", "kind": "kind"},
    choices={"status": OperationStatus},
    order_by="created_at",
    descending=True,
)
_log = logging.getLogger(__name__)
_WAIT_MAX_S: Final = 25
_POLL_FIRST_S: Final = 0.2
_POLL_GROWTH: Final = 1.5
_POLL_MAX_S: Final = 2.0
"""A wait of 25 s costs 17 reads; an operation that ends at once is answered at once."""


class AbandonNotPossible(Conflict):
    """What the operation holds cannot be freed: a stored document is damaged, or we are wrong."""


class CancelNotPossible(Conflict):
    """Operations of this kind are not canceled; the message says what to do instead."""


def rows(root: str) -> Sequence[Route]:
    """Return the routes of operations below *root*."""
    operation = f"{root}/operations/{{operationId}}"
    return (
        get(f"{root}/operations", list_operations, READ, query=LIST.parameters),
        get(operation, get_operation, READ, query=("wait",)),
        post(f"{operation}/cancel", cancel_operation, WRITE, status=200),
        post(f"{operation}/abandon", abandon_operation, ADMIN, status=200),
    )


async def list_operations(request: Request[None], app: Administration) -> Answer:
    """Answer the tenant's operations, newest first."""
    if app.operations:
        request.choice("kind", app.operations)
    return await LIST.answer(request, app.service.store, render)


async def get_operation(request: Request[None], app: Administration) -> Answer:
    """Answer the operation; `wait=<s>` holds the answer until it differs from `If-None-Match`."""
    partition, document_id = _address(request)
    wait_s = request.number("wait", 0, least=0, most=_WAIT_MAX_S)
    clock = app.service.clock
    until_s = clock.monotonic_s() + wait_s
    poll_s = _POLL_FIRST_S
    while True:
        view = await app.service.work.read(partition, document_id)
        operation = view.get(OPERATIONS, request.path["operationId"])
        etag = view.etag(document_id) or ""
        is_changed = not request.has_known(etag)
        is_settled = operation.is_terminal or (is_changed and request.if_none_match is not None)
        if is_settled or clock.monotonic_s() >= until_s:
            if not is_changed:
                return Answer(304, None, {"ETag": etag})
            retry = {} if operation.is_terminal else {"Retry-After": "1"}
            return Answer(200, render(operation), {"ETag": etag, **retry})
        await clock.sleep(min(poll_s, until_s - clock.monotonic_s()))
        poll_s = min(_POLL_MAX_S, poll_s * _POLL_GROWTH)


async def cancel_operation(request: Request[None], app: Administration) -> Answer:
    """Cancel the operation, or answer 409 with the reason why its kind is not canceled."""
    operation = await _stored(request, app)
    control = app.operations.get(operation.kind)
    if control is not None and not isinstance(control.cancel, str):
        return await _answer(request, app, await control.cancel(operation, request.ctx, app.app))
    if operation.is_terminal:
        raise OperationAlreadyEnded(operation)
    reason = control.cancel if control else f"this version knows no kind {operation.kind}"
    raise CancelNotPossible(f"{operation.operation_id} was not canceled: {reason}")


async def abandon_operation(request: Request[None], app: Administration) -> Answer:
    """End an operation that nothing else can end, as Failed with `OperationAbandoned`.

    Where that fails too, nothing has changed: what it holds would never be freed.
    """
    operation = await _stored(request, app)
    control = app.operations.get(operation.kind)
    # A kind that this version does not know is of an operation whose aggregate it cannot free.
    abandon = abandon_alone if control is None else control.abandon
    try:
        outcome = await abandon(operation, request.ctx, app.app)
    except (Refused, Unavailable):
        raise
    except Exception as defect:
        _log.exception("%s was not abandoned", operation.operation_id)
        raise AbandonNotPossible(
            f"{operation.operation_id} was not abandoned: {operation.resource} cannot be freed "
            f"({type(defect).__name__}); have its stored document repaired, see the log of "
            f"{request.ctx.cause.trace_id}, and abandon it again"
        ) from defect
    app.service.sweeps.forget(ENDING, _address(request))
    return await _answer(request, app, outcome)


async def _answer(request: Request[None], app: Administration, outcome: Outcome[Any]) -> Answer:
    """Answer the operation as it is now; a repeat says that it is one."""
    return Answer(
        200, render(await _stored(request, app)), repeat_header(is_repeat=outcome.is_repeat)
    )


async def _stored(request: Request[None], app: Administration) -> Operation:
    ctx = request.ctx
    return await app.service.work.load(OPERATIONS, request.path["operationId"], ctx.tenant)


def _address(request: Request[None]) -> tuple[Partition, str]:
    operation_id = request.path["operationId"]
    return partition_of(request.ctx.tenant, operation_id), OPERATIONS.document_id(operation_id)


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
        "outage": operation.outage,
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
