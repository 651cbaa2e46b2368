"""One page of a query's result, and how to go on behind it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local_cloud.cosmos_endpoint.query.metrics import QueryCost
from local_cloud.cosmos_endpoint.query.selection import Entry, Selection, Tied
from local_cloud.cosmos_endpoint.query.sort_order import (
    Place,
    checked_place,
    is_after,
    place_of,
    token_of,
)
from local_cloud.cosmos_endpoint.query.syntax import Select
from local_cloud.cosmos_endpoint.query.values import UNDEFINED
from shared.persistence.query_rules import PAGE_MAX_BYTES


@dataclass(frozen=True)
class QueryPage:
    """The rows of one page; `continuation` None at the end."""

    rows: list[Any]
    continuation: str | None
    cost: QueryCost = field(default_factory=QueryCost)


def page_of(
    select: Select,
    selection: Selection,
    documents: Iterable[Tied],
    size: int,
    continuation: str | None,
) -> QueryPage:
    """Return the page of at most *size* rows behind *continuation*.

    *documents* are all in scope, in the order of their ties; the result is read no further than the
    page where nothing has to be sorted.

    Raises:
        SqlRefused: the query fails on its data, or *continuation* is none of it.
    """
    entries = selection.entries(documents)
    skipped, left = select.offset, select.most
    if continuation is not None:
        place = place_of(continuation)
        entries, skipped, left = _behind(entries, selection, place, continuation), 0, place.left
    rows: list[Any] = []
    last: Entry | None = None
    bytes_left = PAGE_MAX_BYTES
    for entry in entries:
        if left == 0:
            break
        value = selection.value(entry)
        if value is UNDEFINED:
            continue
        if skipped:
            skipped -= 1
            continue
        bytes_left -= len(json.dumps(value))
        if last is not None and (len(rows) == size or bytes_left < 0):
            return QueryPage(rows, token_of(Place(last[0], left)))
        rows.append(value)
        last = entry
        left = None if left is None else left - 1
    return QueryPage(rows, None)


def _behind(
    entries: Iterable[Entry], selection: Selection, place: Place, token: str
) -> Iterable[Entry]:
    checked = False
    for entry in entries:
        if not checked:
            checked_place(place, entry[0], token)
            checked = True
        if is_after(entry[0], place.key, selection.descends):
            yield entry
