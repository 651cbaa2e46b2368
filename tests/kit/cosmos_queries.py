"""Queries of Cosmos DB's language over documents in memory, whole or page by page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.environment import Environment
from local_cloud.cosmos_endpoint.query.pages import page_of
from local_cloud.cosmos_endpoint.query.parser import parse
from local_cloud.cosmos_endpoint.query.selection import Selection

NOW: Final = datetime(2026, 11, 28, 19, 30, 5, 123456, tzinfo=UTC)


STEPS: Final = 1_000_000
"""Of work: enough for the tests, and spent in less than half a second."""


def environment() -> Environment:
    return Environment(NOW, lambda: 0.5, STEPS)


def page(
    sql: str,
    documents: Sequence[Any],
    size: int = 1000,
    continuation: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[list[Any], str | None]:
    """Return one page, and how to go on; documents without the ORDER BY path are left out."""
    select = parse(sql, parameters or {})
    selection = Selection(select, environment(), lambda _: False)
    by_id = sorted(documents, key=lambda document: str(document["id"]))
    found = page_of(
        select, selection, [([document["id"], "p"], document) for document in by_id], size,
        continuation,
    )  # fmt: skip
    return found.rows, found.continuation


def results(sql: str, documents: Sequence[Any] = (), **parameters: Any) -> list[Any]:
    """Return the whole result; the documents get the ids 0, 1, 2… where they have none."""
    numbered = [
        {"id": str(number), **document} if "id" not in document else document
        for number, document in enumerate(documents)
    ]
    given = {f"@{name}": value for name, value in parameters.items()}
    return page(sql, numbered, parameters=given)[0]


def value_of(expression: str, document: Mapping[str, Any] | None = None, **parameters: Any) -> Any:
    """Return the value of *expression* for one document `c`; the text undefined for that."""
    rows = results(f"SELECT VALUE {expression} FROM c", [document or {}], **parameters)
    return rows[0] if rows else "undefined"
