"""Runs a query over the documents of a container, off the event loop where it takes long."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.errors import bad_request
from local_cloud.cosmos_endpoint.feeds import Feeds
from local_cloud.cosmos_endpoint.partition_ranges import PartitionRange
from local_cloud.cosmos_endpoint.query.environment import Environment
from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.ids import ids_in
from local_cloud.cosmos_endpoint.query.metrics import QueryCost
from local_cloud.cosmos_endpoint.query.pages import QueryPage, page_of
from local_cloud.cosmos_endpoint.query.parser import parse
from local_cloud.cosmos_endpoint.query.selection import Selection, Tied
from local_cloud.cosmos_endpoint.query.syntax import Select
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy

_AT_ONCE_BYTES: Final = 256 * 1024
_AT_ONCE_SIGNS: Final = 1_000_000
"""Of documents, and of the query for all documents together: a query of no more runs on the event
loop, in a few milliseconds."""
_SHORT_CHARACTERS: Final = 32 * 1024
_FEW_STEPS: Final = 200_000
"""Of work, for what runs on the event loop or inside a write however much it asks for."""
_EVERYTHING: Final = "SELECT * FROM c"
_ENTROPY: Final = SystemEntropy()
_CLOCK: Final = SystemClock()
_BODY: Final = 2
"""Where a row has its JSON."""


async def queried(
    container: Container,
    text: str,
    parameters: Mapping[str, Any],
    partitions: PartitionRange,
    size: int,
    continuation: str | None,
) -> QueryPage:
    """Return a page of the query *text* over *partitions*. Raises SqlRefused."""
    begun_s = _CLOCK.monotonic_s()
    is_short = len(text) < _SHORT_CHARACTERS
    select = (
        parse(text, parameters) if is_short else await asyncio.to_thread(parse, text, parameters)
    )
    parsed_s = _CLOCK.monotonic_s()
    feeds = Feeds(container)
    environment = Environment(container.store.now(), _ENTROPY.fraction)
    selection = Selection(select, environment, container.keeps_undefined)
    rows = feeds.rows(partitions, ids_in(select)) if select.sources else []

    loaded_s = _CLOCK.monotonic_s()
    read_bytes = sum(len(row[_BODY]) for row in rows)

    def run() -> QueryPage:
        tied = feeds.documents(rows, by_rid=_is_rewritten(select))
        page = page_of(select, selection, tied, size, continuation)
        cost = QueryCost(
            parsed_s - begun_s,
            loaded_s - parsed_s,
            _CLOCK.monotonic_s() - loaded_s,
            len(rows),
            read_bytes,
        )
        return replace(page, cost=cost)

    is_small = read_bytes < _AT_ONCE_BYTES
    if is_small and len(text) * len(rows) < _AT_ONCE_SIGNS and select.is_plain:
        return run()
    return await asyncio.to_thread(run)


async def everything(
    container: Container, partitions: PartitionRange, size: int, continuation: str | None
) -> QueryPage:
    """Return a page of all documents of *partitions*."""
    return await queried(container, _EVERYTHING, {}, partitions, size, continuation)


def listed(
    resources: Sequence[Mapping[str, Any]], text: str, parameters: Mapping[str, Any]
) -> list[Any]:
    """Return the result of a query over databases, containers or offers. Raises SqlRefused."""
    select = parse(text, parameters)
    selection = Selection(select, Environment(_CLOCK.now(), _ENTROPY.fraction, _FEW_STEPS))
    tied: list[Tied] = [([str(resource["id"])], resource) for resource in resources]
    return selection.all_values(selection.entries(tied))


def holds_for(container: Container, condition: str, document: Mapping[str, Any]) -> bool:
    """Return whether a patch's *condition*, `FROM c WHERE …`, is true for *document*.

    Raises:
        CosmosError: 400.
    """
    try:
        select = parse(f"SELECT VALUE 1 {condition}", {})
        environment = Environment(container.store.now(), _ENTROPY.fraction, _FEW_STEPS)
        selection = Selection(select, environment)
        return bool(selection.all_values(selection.entries([([""], document)])))
    except SqlRefused as problem:
        raise bad_request(f"the patch's condition: {problem}") from problem


def _is_rewritten(select: Select) -> bool:
    """Return whether an SDK sent the query of a plan, whose ties it takes from resource ids."""
    return any(column.name == "orderByItems" for column in select.columns)
