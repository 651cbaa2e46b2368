"""Reads of the past of a service: its facts at a time, and its history.

`queries` has the reads of the inventory as it is now.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.catalog import repository, resources
from function_apps.catalog.errors import ServiceNotFound
from function_apps.catalog.model.history import HistoryRow, RowKind, facts_at, timeline
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import HISTORY
from shared.contracts import catalog as published
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.persistence.store import (
    Comparison,
    Document,
    Page,
    Partition,
    Query,
    Where,
    partition_of,
)

RELEASE_ROWS_MAX: Final = 50
"""Rows of one release revision that a query into the past reads: its end, and later rollbacks."""


async def get_service_at(
    service_id: str, as_of: datetime, known_at: datetime, ctx: Context, app: CatalogApp
) -> published.RuntimeService:
    """Return the service at *as_of*, as it was known at *known_at*, without its instances.

    Past instances are not kept.

    Raises:
        ServiceNotFound: no release of it was known then.
    """
    service = await repository.load(service_id, ctx, app)
    at, at_knowledge = isoformat(as_of), isoformat(known_at)
    rows = await _deciding_rows(partition_of(ctx.tenant, service_id), at, at_knowledge, app)
    facts = facts_at(rows, at, at_knowledge)
    if facts is None:
        raise ServiceNotFound(service_id, f" at {at} as known at {at_knowledge}")
    return resources.past_service(service, facts)


async def get_history(
    service_id: str, ctx: Context, app: CatalogApp, *, limit: int, continuation: str | None
) -> tuple[Sequence[Mapping[str, object]], str | None]:
    """Return one page of the history of a service, in the order of valid time.

    Rows older than its first release are left out, so a page may be shorter, or empty.
    """
    await repository.load_document(service_id, ctx, app)
    partition = partition_of(ctx.tenant, service_id)
    query = Query(
        where=HISTORY.conditions,
        limit=limit,
        continuation=continuation,
    )
    page = await app.service.store.query(partition, query)
    rows = _rows(page.documents)
    if not rows:
        return [], page.continuation
    until = await _first_of_next(partition, query, page, app)
    before = await _deciding_rows(partition, rows[0].valid_from, isoformat(ctx.now()), app)
    earlier = [row for row in before if row.order_key < rows[0].order_key]
    entries = [(facts, row) for facts, row in timeline([*earlier, *rows]) if row in rows]
    if not entries:
        return [], page.continuation
    ends = [row.valid_from for _, row in entries[1:]] + [until]
    value = [
        resources.history_row(facts, row, end)
        for (facts, row), end in zip(entries, ends, strict=True)
    ]
    return value, page.continuation


async def _first_of_next(
    partition: Partition, query: Query, page: Page, app: CatalogApp
) -> str | None:
    """Return the valid time of the row after *page*, which ends the last row of *page*."""
    if page.continuation is None:
        return None
    beyond = replace(query, limit=1, continuation=page.continuation)
    following = await app.service.store.query(partition, beyond)
    return next((str(document.body.get("valid_from")) for document in following.documents), None)


async def _deciding_rows(
    partition: Partition, as_of: str, known_at: str, app: CatalogApp
) -> Sequence[HistoryRow]:
    """Return the rows that decide the facts at *as_of*: a few, however long the history is."""

    async def latest(kind: RowKind, order_by: str, limit: int) -> list[HistoryRow]:
        query = Query(
            where=[
                *HISTORY.conditions,
                Where("kind", Comparison.EQ, kind.value),
                Where("valid_from", Comparison.LE, as_of),
                Where("known_from", Comparison.LE, known_at),
            ],
            order_by=order_by,
            descending=True,
            limit=limit,
        )
        page = await app.service.store.query(partition, query)
        return _rows(page.documents)

    kinds = await asyncio.gather(
        latest(RowKind.RELEASE, "release_revision", RELEASE_ROWS_MAX),
        latest(RowKind.RELEASE, "valid_from", 1),
        latest(RowKind.OBSERVATION, "valid_from", 1),
        latest(RowKind.REMOVAL, "valid_from", 1),
    )
    return [row for rows in kinds for row in rows]


def _rows(documents: Sequence[Document]) -> list[HistoryRow]:
    """Return the rows that can be shown; the others are logged and left out."""

    def show(_document: Document, row: HistoryRow) -> HistoryRow:
        if row.kind is RowKind.RELEASE:
            resources.require_release(row)
        return row

    return HISTORY.shown(documents, show)
