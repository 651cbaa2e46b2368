"""The alerts of one service that are raised now, over HTTP, whatever they are of."""

from collections.abc import Sequence
from typing import Final

from shared.contracts.alerts import OpenAlert
from shared.persistence.store import AnyOf, Comparison, Document, Prefix, Where
from shared.web.administration import Administration
from shared.web.collection import PAGED, answer_page, query_page
from shared.web.request import Answer, Request
from shared.web.routes import Route, get

READ: Final = "runtime.operations.read"
"""As for the events of an alert."""


def rows(root: str) -> Sequence[Route]:
    """Return the route of raised alerts below *root*."""
    return (get(f"{root}/alerts", list_alerts, READ, query=("environmentId", *PAGED)),)


async def list_alerts(request: Request[None], app: Administration) -> Answer:
    """Answer the tenant's alerts that were raised and have not ended.

    A page is of the documents that may have some, of whatever environment: it may be short, or
    empty, while there is a next one, and all pages cost as much as there are such documents.
    """
    if not app.alerts:
        return answer_page(request, [], None)
    types = [Where("type", Comparison.EQ, each.codec.type_name) for each in app.alerts]
    tenant = request.ctx.tenant
    page = await query_page(request, app.service.store, Prefix(tenant), [AnyOf(types)])
    raised = [alert for document in page.documents for alert in _raised(document, request, app)]
    asked = request.query.get("environmentId")
    found = [each for each in raised if asked in {None, each.environment_id}]
    return answer_page(request, found, page.continuation)


def _raised(document: Document, request: Request[None], app: Administration) -> Sequence[OpenAlert]:
    """Return what one document has; nothing, logged, where it is damaged."""
    tenant = request.ctx.tenant
    source = next(each for each in app.alerts if each.codec.type_name == document.body["type"])
    shown = source.codec.shown([document], lambda _, value: [*source.raised(value, tenant)])
    return shown[0] if shown else ()
