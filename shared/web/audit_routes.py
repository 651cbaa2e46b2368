"""The audit trail and the published events of one service over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    return await _page(request, app, lambda entry: [_record(entry)])


async def list_events(request: Request[None], app: Administration) -> Answer:
    """Answer the events that left this service for the caller's tenant, oldest first."""
    return await _page(request, app, partial(_events, app.service.public_name))


async def verify_audit(request: Request[None], app: Administration) -> Answer:
    """Answer whether the audit chain is whole, or the first entry that is not."""
    broken_at = await app.service.audit.verify(request.scope.tenant)
    return ok({"status": "Sound" if broken_at is None else "Broken", "brokenAt": broken_at})


async def _page(
    request: Request[None], app: Administration, shown: Callable[[Entry], Sequence[Any]]
) -> Answer:
    """Answer what *shown* makes of each entry of the page that *request* asks for."""
    limit = request.number("top", 100, least=1, most=TOP_MAX)
    after = request.number("after", 0, least=0, most=10**12 - 1)
    entries = await app.service.audit.entries(request.scope.tenant, after=after, limit=limit)
    next_link = request.link(after=str(entries[-1].number)) if len(entries) == limit else None
    return ok({"value": [row for entry in entries for row in shown(entry)], "nextLink": next_link})


def _events(service: str, entry: Entry) -> Sequence[Mapping[str, Any]]:
    record = entry.record
    return [
        {
            **event,
            "service": service,
            "actor": record.actor,
            "cause": f"{record.cause_kind} {record.cause}",
            "number": entry.number,
            "action": record.action,
            "target": record.target,
        }
        for event in record.events
    ]


def _record(entry: Entry) -> Mapping[str, Any]:
    record = entry.record
    return {
        "number": entry.number,
        "recordId": record.record_id,
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "outcome": record.outcome,
        "reason": ": ".join(filter(None, (f"{record.cause_kind} {record.cause}", record.reason))),
        "at": record.at,
        "traceId": record.trace_id,
        "events": [event["eventType"] for event in record.events],
        "hash": entry.hash,
        "previousHash": entry.previous_hash,
    }
