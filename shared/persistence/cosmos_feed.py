"""The change feed of a Cosmos DB container by the official SDK, one feed range at a time.

One continuation for each feed range: the SDK cannot resume one of the whole container that was
saved before all ranges were visited ("Invalid composite token").
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.kernel.errors import Invalid
from shared.persistence.query_rules import checked_continuation, feed_limit

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy


async def feed_ranges(container: "ContainerProxy") -> Sequence[str]:
    """Return the names of the feed ranges."""
    return [json.dumps(name, sort_keys=True) async for name in container.read_feed_ranges()]


async def read_changes(
    container: "ContainerProxy", feed_range: str, continuation: str | None, limit: int
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return what changed since *continuation*, oldest first, and the next continuation.

    Raises:
        Invalid: *feed_range* is none of this container.
    """
    where: dict[str, Any] = {"continuation": checked_continuation(continuation)}
    if continuation is None:
        where = {"feed_range": _range(feed_range), "start_time": "Beginning"}
    items = container.query_items_change_feed(**where, max_item_count=feed_limit(limit))
    documents = await next_page(items.by_page())
    return documents, str(container.client_connection.last_response_headers["etag"])


async def next_page(pager: Any) -> list[Mapping[str, Any]]:
    """Return the next page of *pager*, an iterator of the SDK; empty at its end."""
    try:
        page = await anext(pager)
    except StopAsyncIteration:
        return []
    return [raw async for raw in page]


def _range(name: str) -> dict[str, Any]:
    try:
        value = json.loads(name)
    except ValueError as problem:
        raise Invalid(f"not a feed range of this container: {name[:80]!r}") from problem
    if not isinstance(value, dict):
        raise Invalid(f"not a feed range of this container: {name[:80]!r}")
    return value
