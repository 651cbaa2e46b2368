"""The audit trail and the published events of one service over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from shared.kernel.errors import Invalid
from shared.messaging.audit import AuditTrail, Entry
from shared.web.administration import Administration
from shared.web.collection import TOP_MAX
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get

_NUMBER_MAX: Final = 10**12 - 1


def rows(root: str) -> Sequence[Route]:
    """Return the routes of the audit trail below *root*."""
    paged = ("after", "before", "top")
    return (
        get(f"{root}/audit", list_audit, "runtime.audit.read", query=paged),
        get(f"{root}/audit-verification", verify_audit, "runtime.audit.read"),
        get(f"{root}/events", list_events, "runtime.operations.read", query=paged),
    )


async def list_audit(request: Request[None], app: Administration) -> Answer:
    """Answer who did what to what, why and when, oldest first; with `before` newest first."""
    return await _page(request, app, lambda entry: [_record(entry)])


async def list_events(request: Request[None], app: Administration) -> Answer:
    """Answer the events that left this service for the caller's tenant, in the order of `audit`."""
    return await _page(request, app, partial(_events, app.service.public_name))


async def verify_audit(request: Request[None], app: Administration) -> Answer:
    """Answer whether the caller's tenant's audit chain is whole, or the first entry that is not."""
    tenant = request.scope.tenant
    broken_at = await app.service.audit.verify(tenant)
    status = "Sound" if broken_at is None else "Broken"
    return ok({"tenantId": tenant, "status": status, "brokenAt": broken_at})


async def _page(
    request: Request[None], app: Administration, shown: Callable[[Entry], Sequence[Any]]
) -> Answer:
    """Answer what *shown* makes of each entry of the page that *request* asks for."""
    limit = request.number("top", 100, least=1, most=TOP_MAX)
    is_newest_first = "before" in request.query
    page = _last if is_newest_first else _first
    entries, further = await page(request, app.service.audit, limit)
    rows = [row for entry in entries for row in shown(entry)]
    return ok(
        {
            "value": rows[::-1] if is_newest_first else rows,
            "nextLink": request.link(**further) if further else None,
        }
    )


async def _first(
    request: Request[None], trail: AuditTrail, limit: int
) -> tuple[Sequence[Entry], Mapping[str, str]]:
    """Return the first entries after a number, and the query of the next page."""
    after = request.number("after", 0, least=0, most=_NUMBER_MAX)
    entries = await trail.entries(request.scope.tenant, after=after, limit=limit)
    return entries, {"after": str(entries[-1].number)} if len(entries) == limit else {}


async def _last(
    request: Request[None], trail: AuditTrail, limit: int
) -> tuple[Sequence[Entry], Mapping[str, str]]:
    """Return the last entries before a number, and the query of the next page."""
    if "after" in request.query:
        raise Invalid("query parameters after, before: expected one of them", target="before")
    tenant = request.scope.tenant
    before = request.number("before", _NUMBER_MAX, least=1, most=_NUMBER_MAX)
    newest = min(before - 1, await trail.length(tenant))
    oldest = max(newest - limit, 0)
    if newest == 0:
        return [], {}
    entries = await trail.entries(tenant, after=oldest, limit=newest - oldest)
    return entries, {"before": str(oldest + 1)} if oldest else {}


def _events(service: str, entry: Entry) -> Sequence[Mapping[str, Any]]:
    record = entry.record
    return [
        {
            **event,
            "service": service,
            "actor": record.actor,
            "actorTenant": record.actor_tenant or None,
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
        "actorTenant": record.actor_tenant or None,
        "action": record.action,
        "target": record.target,
        "targetTenant": record.target_tenant or None,
        "outcome": record.outcome,
        "reason": ": ".join(filter(None, (f"{record.cause_kind} {record.cause}", record.reason))),
        "policy": record.policy,
        "at": record.at,
        "traceId": record.trace_id,
        "events": [event["eventType"] for event in record.events],
        "hash": entry.hash,
        "previousHash": entry.previous_hash,
    }
