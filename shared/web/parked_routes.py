"""Parked messages over HTTP: list, show, replay; and dead letters, which the broker keeps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.kernel.context import ADMIN, Scope
from shared.kernel.errors import Denied, NotFound
from shared.kernel.ids import TenantId
from shared.messaging.parked_messages import PLATFORM_TENANT, parked_id, parked_partition
from shared.persistence.store import Comparison, Document, Where
from shared.web.administration import Administration
from shared.web.collection import PAGED, answer_page, query_page
from shared.web.dead_letters import (
    PREFIX,
    get_dead_letter,
    list_dead_letters,
    replay_dead_letter,
)
from shared.web.request import Answer, Request, ok
from shared.web.routes import Route, get, post

_SHOWN: Final = ("eventId", "eventType", "code", "reason", "details", "parkedAt", "attempts")
_SHOWN_OF_UNREADABLE: Final = frozenset(_SHOWN) - {"eventType", "details"}
"""What quotes the message is left out."""


def rows(root: str) -> Sequence[Route]:
    """Return the routes of parked messages below *root*."""
    read, write = "runtime.operations.read", "runtime.operations.write"
    return (
        get(f"{root}/parked", list_parked, read, query=(*PAGED, "unreadable", "deadLettered")),
        get(f"{root}/parked/{{eventId}}", get_parked, read),
        post(f"{root}/parked/{{eventId}}/replay", replay_parked, write, status=200),
    )


async def list_parked(request: Request[None], app: Administration) -> Answer:
    """Answer the tenant's parked messages; `unreadable=true` those without a readable tenant.

    `deadLettered=true` has instead what the broker gave up on the way to this service.
    """
    scopes = _scopes(request.scope)
    is_unreadable = request.choice("unreadable", ("true", "false")) == "true"
    if is_unreadable and len(scopes) == 1:
        raise Denied(f"unreadable messages need the scope {ADMIN}", code="ScopeMissing")
    scope = scopes[-1] if is_unreadable else request.scope
    if request.choice("deadLettered", ("true", "false")) == "true":
        return await list_dead_letters(request, app, scope.tenant)
    page = await query_page(
        request,
        app.service.store,
        parked_partition(scope),
        [Where("type", Comparison.EQ, "parked")],
    )
    return answer_page(
        request, [_summary(document) for document in page.documents], page.continuation
    )


async def get_parked(request: Request[None], app: Administration) -> Answer:
    """Answer one parked message, or dead letter, whole, with the reason why.

    Of one without a readable tenant only its digest and that it was refused: it may be anybody's.
    """
    scopes, event = _scopes(request.scope), request.path["eventId"]
    if event.startswith(PREFIX):
        return ok(await get_dead_letter(event, app, [scope.tenant for scope in scopes]))
    for scope in scopes:
        document = await app.service.store.read(parked_partition(scope), parked_id(event))
        if document is not None:
            envelope = document.body.get("envelope")
            return ok({**_summary(document), "envelope": envelope}, etag=document.etag)
    raise NotFound(f"no message {event[:80]!r} is parked here")


async def replay_parked(request: Request[None], app: Administration) -> Answer:
    """Hand a parked message, or a dead letter, to this service's handler again."""
    event = request.path["eventId"]
    if event.startswith(PREFIX):
        tenants = [scope.tenant for scope in _scopes(request.scope)]
        return ok(await replay_dead_letter(event, request, app, tenants))
    await app.dispatcher.replay(event, request.ctx)
    return ok({"eventId": event, "status": "Replayed"})


def _scopes(scope: Scope) -> Sequence[Scope]:
    """Return where the caller may look for parked messages; the last is the platform's own."""
    if not scope.allows(ADMIN):
        return [scope]
    return [scope, Scope(TenantId(PLATFORM_TENANT), scope.caller)]


def _summary(document: Document) -> Mapping[str, Any]:
    is_unreadable = document.partition.tenant == PLATFORM_TENANT
    shown = _SHOWN_OF_UNREADABLE if is_unreadable else _SHOWN
    fields = {name: document.body.get(name) if name in shown else None for name in _SHOWN}
    return {**fields, "place": "Parked", "tenantId": document.partition.tenant}
