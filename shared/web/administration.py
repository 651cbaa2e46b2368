"""What every app serves below `/v1/platform/<app>/`: operations, parked messages, audit, health."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import shared.kernel.operation as operations
from shared.kernel.errors import Denied, NotFound, Unavailable
from shared.kernel.ids import TenantId, parse_id, service_id
from shared.kernel.scope import ADMIN, Scope
from shared.messaging.audit import Entry
from shared.messaging.dispatcher import PLATFORM_TENANT, Dispatcher, parked_id, parked_partition
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import Audited, Decision, Put, View
from shared.persistence.store import Comparison, Document, Partition, Prefix, Query, Where
from shared.service import Service
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get, post

LIST_MAX: Final = 200
_WAIT_MAX_S: Final = 25
_POLL_S: Final = 0.2


@dataclass(frozen=True)
class Administration:
    """The app behind these routes: one service, and the dispatcher of all its messages."""

    service: Service
    dispatcher: Dispatcher
    openapi: Mapping[str, Any]


def administration_routes(app: str) -> Sequence[Route]:
    """Return the rows for *app*, named as outside Python (`secret-bindings`)."""
    root = f"v1/platform/{app}"
    read, write = "runtime.operations.read", "runtime.operations.write"
    listing = ("top", "continuation")
    return (
        get(f"{root}/operations", list_operations, read, query=(*listing, "state")),
        get(f"{root}/operations/{{operationId}}", get_operation, read, query=("wait",)),
        post(f"{root}/operations/{{operationId}}/cancel", cancel_operation, write, status=200),
        get(f"{root}/parked", list_parked, read, query=(*listing, "unreadable")),
        get(f"{root}/parked/{{eventId}}", get_parked, read),
        post(f"{root}/parked/{{eventId}}/replay", replay_parked, write, status=200),
        get(f"{root}/audit", list_audit, "runtime.audit.read", query=("after", "top")),
        get(f"{root}/audit-verification", verify_audit, "runtime.audit.read"),
        get(f"{root}/events", list_events, read, query=("after", "top")),
        get(f"{root}/health", get_health, None),
        get(f"{root}/alive", get_alive, None),
        get(f"{root}/startup", get_health, None, name="get_startup"),
        get(f"{root}/openapi.json", get_openapi, None),
    )


async def list_operations(request: Request[None], app: Administration) -> Answer:
    """Answer the tenant's operations, newest first."""
    where = [Where("type", Comparison.EQ, "operation")]
    if state := request.query.get("state"):
        where.append(Where("state", Comparison.EQ, state))
    page = await app.service.store.query(
        Prefix(request.scope.tenant), _query(request, where, order_by="created_at")
    )
    value = [render(operations.from_body(document.body)) for document in page.documents]
    return ok(_collection(request, value, page.continuation))


async def get_operation(request: Request[None], app: Administration) -> Answer:
    """Answer the operation; `wait=<s>` holds the answer until it differs from `If-None-Match`."""
    partition, document_id = _place(request.path["operationId"], request.scope)
    wait_s = request.number("wait", 0, least=0, most=_WAIT_MAX_S)
    clock = app.service.clock
    until_s = clock.monotonic_s() + wait_s
    while True:
        document = await app.service.store.read(partition, document_id)
        if document is None:
            raise NotFound(f"no operation {request.path['operationId']!r}")
        operation = operations.from_body(document.body)
        changed = document.etag != request.if_none_match
        settled = operation.is_terminal or (changed and request.if_none_match is not None)
        if settled or clock.monotonic_s() >= until_s:
            if not changed:
                return Answer(304, None, {"ETag": document.etag})
            answer = ok(render(operation), etag=document.etag)
            if operation.is_terminal:
                return answer
            return Answer(200, answer.body, {**answer.headers, "Retry-After": "1"})
        await clock.sleep(_POLL_S)


async def cancel_operation(request: Request[None], app: Administration) -> Answer:
    """Ask the operation to stop at its next step; what has no meaning in its state is refused."""
    partition, document_id = _place(request.path["operationId"], request.scope)

    def decide(view: View) -> Decision:
        body = view.body(document_id)
        if body is None:
            raise NotFound(f"no operation {request.path['operationId']!r}")
        asked = operations.request_cancel(operations.from_body(body))
        nudge = [Raise(asked.operation_id, asked.wait_name)] if asked.wait_name else []
        return Decision(
            result=render(asked),
            writes=[Put(document_id, operations.to_body(asked))],
            outbox=nudge,
            audited=Audited("CancelOperation", asked.operation_id),
        )

    outcome = await app.service.work.write(
        request.scope, partition, [document_id], decide, request.cause
    )
    headers = {"Repeatability-Result": "accepted"} if outcome.is_repeat else {}
    return Answer(200, outcome.result, headers)


async def list_parked(request: Request[None], app: Administration) -> Answer:
    """Answer the tenant's parked messages; `unreadable=true` those without a readable tenant."""
    scopes = _parked_scopes(request.scope)
    is_unreadable = request.query.get("unreadable", "false") == "true"
    if is_unreadable and len(scopes) == 1:
        raise Denied(f"unreadable messages need the scope {ADMIN}", code="ScopeMissing")
    page = await app.service.store.query(
        parked_partition(scopes[-1] if is_unreadable else request.scope),
        _query(request, [Where("type", Comparison.EQ, "parked")]),
    )
    value = [_parked(document, whole=False) for document in page.documents]
    return ok(_collection(request, value, page.continuation))


async def get_parked(request: Request[None], app: Administration) -> Answer:
    """Answer one parked message whole, with why it was refused."""
    for scope in _parked_scopes(request.scope):
        document = await app.service.store.read(
            parked_partition(scope), parked_id(request.path["eventId"])
        )
        if document is not None:
            return ok(_parked(document, whole=True), etag=document.etag)
    raise NotFound(f"no message {request.path['eventId'][:80]!r} is parked here")


async def replay_parked(request: Request[None], app: Administration) -> Answer:
    """Hand a parked message to this service's handler again."""
    await app.dispatcher.replay(request.scope, request.path["eventId"])
    return ok({"eventId": request.path["eventId"], "status": "Replayed"})


async def list_audit(request: Request[None], app: Administration) -> Answer:
    """Answer who did what to what, why and when, oldest first."""
    entries = await _entries(request, app)
    value = [_audit(entry) for entry in entries]
    return ok({"value": value, "nextLink": _after(request, entries)})


async def list_events(request: Request[None], app: Administration) -> Answer:
    """Answer the events that left this service for the caller's tenant, oldest first."""
    entries = await _entries(request, app)
    value = [
        {
            **event,
            "service": app.service.outside_name,
            "actor": entry.record.actor,
            "cause": f"{entry.record.cause_kind} {entry.record.cause}",
            "number": entry.number,
            "action": entry.record.action,
            "target": entry.record.target,
        }
        for entry in entries
        for event in entry.record.events
    ]
    return ok({"value": value, "nextLink": _after(request, entries)})


async def verify_audit(request: Request[None], app: Administration) -> Answer:
    """Answer whether the audit chain is whole, or the first entry that is not."""
    broken_at = await app.service.audit.verify(request.scope.tenant)
    return ok({"status": "Sound" if broken_at is None else "Broken", "brokenAt": broken_at})


async def get_health(request: Request[None], app: Administration) -> Answer:
    """Answer whether the app and its store work; details only for a caller with a token."""
    started_s = app.service.clock.monotonic_s()
    status = "Healthy"
    try:
        await app.service.store.read(Partition(PLATFORM_TENANT, "-", "-"), "health")
    except Unavailable:
        status = "Unhealthy"
    took = _duration((app.service.clock.monotonic_s() - started_s) * 1000)
    entries = {"store": {"status": status, "duration": took}}
    is_known = request.scope.tenant != ""
    body = {"status": status, "totalDuration": took, "entries": entries if is_known else {}}
    return Answer(200 if status == "Healthy" else 503, body)


async def get_alive(_request: Request[None], _app: Administration) -> Answer:
    """Answer that the process runs; a store that is away is no reason to restart it."""
    return ok({"status": "Healthy", "totalDuration": _duration(0), "entries": {}})


async def get_openapi(_request: Request[None], app: Administration) -> Answer:
    """Answer this service's OpenAPI document."""
    return Answer(200, json.dumps(app.openapi).encode(), {"Cache-Control": "max-age=300"})


def render(operation: operations.Operation) -> Mapping[str, Any]:
    """Return the resource that clients see (`shared.contracts.operations.Operation`)."""
    ended = operation.is_terminal
    return {
        "operationId": operation.operation_id,
        "kind": operation.kind,
        "state": operation.state.value,
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
        "endedAt": operation.heartbeat_at if ended else None,
    }


def _place(operation_id: str, scope: Scope) -> tuple[Partition, str]:
    parsed = parse_id(operation_id, "op")
    unit = service_id(parsed.environment, parsed.module) if parsed.module else "-"
    partition = Partition(scope.tenant, parsed.environment, unit)
    return partition, operations.document_id(operation_id)


def _query(request: Request[Any], where: Sequence[Where], *, order_by: str = "id") -> Query:
    return Query(
        where=where,
        order_by=order_by,
        descending=order_by != "id",
        limit=request.number("top", 50, least=1, most=LIST_MAX),
        continuation=request.query.get("continuation"),
    )


def _parked_scopes(scope: Scope) -> Sequence[Scope]:
    """Return where the caller may look for parked messages; the last is the platform's own."""
    if not scope.allows(ADMIN):
        return [scope]
    return [scope, Scope(TenantId(PLATFORM_TENANT), scope.caller)]


def _collection(
    request: Request[Any], value: Sequence[Any], continuation: str | None
) -> Mapping[str, Any]:
    return {"value": value, "nextLink": request.next_link(continuation)}


async def _entries(request: Request[None], app: Administration) -> Sequence[Entry]:
    return await app.service.audit.entries(
        request.scope.tenant,
        after=request.number("after", 0, least=0, most=10**12 - 1),
        limit=request.number("top", 100, least=1, most=LIST_MAX),
    )


def _after(request: Request[None], entries: Sequence[Entry]) -> str | None:
    top = request.number("top", 100, least=1, most=LIST_MAX)
    return f"?after={entries[-1].number}&top={top}" if len(entries) == top else None


def _audit(entry: Entry) -> Mapping[str, Any]:
    record = entry.record
    return {
        "number": entry.number,
        "recordId": record.record_id,
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "outcome": record.outcome,
        "reason": f"{record.cause_kind} {record.cause}",
        "at": record.at,
        "traceId": record.trace_id,
        "events": [event["eventType"] for event in record.events],
        "hash": entry.hash,
        "previousHash": entry.previous_hash,
    }


def _parked(document: Document, *, whole: bool) -> Mapping[str, Any]:
    body = document.body
    names = ("eventId", "eventType", "code", "reason", "details", "parkedAt", "attempts")
    shown = {name: body[name] for name in names}
    shown["tenantId"] = document.partition.tenant
    if whole:
        shown["envelope"] = body.get("envelope", body.get("text"))
    return shown


def _duration(milliseconds: float) -> str:
    """Return `hh:mm:ss.fffffff`, as .NET health checks write it."""
    seconds, rest = divmod(milliseconds / 1000, 60)
    return f"00:{int(seconds):02d}:{rest:010.7f}"
