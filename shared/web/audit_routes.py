"""The audit trail and the published events of one service over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.messaging.audit import Entry
from shared.web.administration import Administration
from shared.web.collection import TOP_MAX
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get


def rows(root: str) -> Sequence[Route]:
    """Return the routes of the audit trail below *root*."""
    paged = ("after", "top")
    return (
        get(f"{root}/audit", list_audit, "runtime.audit.read", query=paged),
        get(f"{root}/audit-verification", verify_audit, "runtime.audit.read"),
        get(f"{root}/events", list_events, "runtime.operations.read", query=paged),
    )


async def list_audit(request: Request[None], app: Administration) -> Answer:
    """Answer who did what to what, why and when, oldest first."""
    entries = await _entries(request, app)
    value = [_record(entry) for entry in entries]
    return ok({"value": value, "nextLink": _next_link(request, entries)})


async def list_events(request: Request[None], app: Administration) -> Answer:
    """Answer the events that left this service for the caller's tenant, oldest first."""
    entries = await _entries(request, app)
    value = [
        {
            **event,
            "service": app.service.public_name,
            "actor": entry.record.actor,
            "cause": f"{entry.record.cause_kind} {entry.record.cause}",
            "number": entry.number,
            "action": entry.record.action,
            "target": entry.record.target,
        }
        for entry in entries
        for event in entry.record.events
    ]
    return ok({"value": value, "nextLink": _next_link(request, entries)})


async def verify_audit(request: Request[None], app: Administration) -> Answer:
    """Answer whether the audit chain is whole, or the first entry that is not."""
    broken_at = await app.service.audit.verify(request.scope.tenant)
    return ok({"status": "Sound" if broken_at is None else "Broken", "brokenAt": broken_at})


async def _entries(request: Request[None], app: Administration) -> Sequence[Entry]:
    return await app.service.audit.entries(
        request.scope.tenant,
        after=request.number("after", 0, least=0, most=10**12 - 1),
        limit=_limit(request),
    )


def _limit(request: Request[None]) -> int:
    return request.number("top", 100, least=1, most=TOP_MAX)


def _next_link(request: Request[None], entries: Sequence[Entry]) -> str | None:
    is_full = len(entries) == _limit(request)
    return request.link(after=str(entries[-1].number)) if is_full else None


def _record(entry: Entry) -> Mapping[str, Any]:
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
