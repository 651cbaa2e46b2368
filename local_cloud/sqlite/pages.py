"""Pages of rows as documents: bounded in number and size, without those that cannot be read."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

from local_cloud.sqlite.query import (
    Order,
    Sql,
    condition,
    continuation_of,
    if_json,
    is_of_columns,
    joined,
)
from local_cloud.sqlite.rows import etag_of
from shared.persistence.cosmos_form import checked_body, document_id_of, left_out, readable
from shared.persistence.effective_key import SEPARATOR
from shared.persistence.json_text import decoded
from shared.persistence.query_rules import PAGE_MAX_BYTES
from shared.persistence.store import (
    Document,
    Page,
    Partition,
    Query,
    Unreadable,
    UnreadableDocument,
)

COLUMNS: Final = "partition, id, body, lsn, changed_at_s"
_BODY: Final = 2
_KEY_VALUES: Final = 3
"""Tenant, environment and unit."""
_LEFT_OUT_MAX: Final = 20
"""A bound on the damaged rows that one page names; the first ones show where to repair."""
_DAMAGED: Final = "its body is not JSON: the file is damaged"

Row = tuple[Any, ...]


def document_of_row(row: Row) -> Document:
    """Return the document of a row of `COLUMNS`.

    Raises:
        UnreadableDocument: the row is damaged, or was written over the wire, not by a Store.
    """
    partition, stored, text, lsn, changed_at_s, *_ = row
    try:
        shown = decoded(text)
    except (ValueError, TypeError) as problem:
        raise UnreadableDocument(_DAMAGED) from problem
    values = partition.split(SEPARATOR)
    if not isinstance(shown, dict) or len(values) != _KEY_VALUES:
        raise UnreadableDocument("it was not written by a store")
    body = checked_body(shown.get("body"))
    return Document(Partition(*values), document_id_of(stored), body, etag_of(lsn), changed_at_s)


def documents_of(rows: Iterable[Row]) -> tuple[Sequence[Document], Sequence[Unreadable]]:
    """Return the documents of *rows*, and those of them that cannot be read."""
    return readable(rows, document_of_row, _key_of)


def _key_of(row: Row) -> tuple[Partition, str]:
    values = row[0].split(SEPARATOR)
    # A row of a container with another key, made over the wire: its values are shown as one.
    whole = values if len(values) == _KEY_VALUES else ("/".join(values), "-")
    return Partition(*whole), document_id_of(row[1])


def bounded(rows: Iterable[Row], limit: int) -> tuple[list[Row], bool]:
    """Return the first of *rows*, and whether there are more.

    At most *limit*, and at most 4 MB of bodies; a larger body comes alone.
    """
    page: list[Row] = []
    size = 0
    for row in rows:
        size += len(row[_BODY])
        if page and (len(page) == limit or size > PAGE_MAX_BYTES):
            return page, True
        page.append(row)
    return page, False


def page_of(
    connection: sqlite3.Connection, table: str, scope: Sequence[Sql], query: Query, limit: int
) -> Page:
    """Return the page of those rows of *table* in *scope* that *query* asks for.

    SQLite gives up on a whole query when it meets a body that is not JSON, so such a query runs
    again without those rows.
    """
    try:
        return _selected(connection, table, scope, query, limit)
    except sqlite3.OperationalError as problem:
        if "malformed JSON" not in str(problem):
            raise
    scope = [*scope, *map(condition, filter(is_of_columns, query.where))]
    page = _selected(connection, table, [*scope, ("json_valid(body)", [])], query, limit, if_json)
    sql, parameters = joined(" AND ", [*scope, ("NOT json_valid(body)", [])])
    sql = f"SELECT partition, id FROM {table} WHERE {sql} LIMIT {_LEFT_OUT_MAX}"  # noqa: S608
    damaged = [
        left_out(*_key_of(row), UnreadableDocument(_DAMAGED))
        for row in connection.execute(sql, parameters)
    ]
    return replace(page, unreadable=(*page.unreadable, *damaged))


def _selected(
    connection: sqlite3.Connection,
    table: str,
    scope: Sequence[Sql],
    query: Query,
    limit: int,
    guard: Callable[[Sql], Sql] = lambda sql: sql,
) -> Page:
    order = Order(query)
    conditions = [guard(condition(where)) for where in query.where]
    if query.continuation is not None:
        # Before the scope: of two bounds of one column SQLite searches from the one it reads first.
        scope = [guard(order.after(query.continuation)), *scope]
    where, parameters = joined(" AND ", [*scope, *conditions])
    sql = (
        f"SELECT {COLUMNS}, {', '.join(order.columns)} FROM {table}"  # noqa: S608
        f" WHERE {where} ORDER BY {order.by} LIMIT ?"
    )
    # One more than asked for tells whether there is a next page.
    with closing(connection.execute(sql, [*parameters, limit + 1])) as cursor:
        rows, more = bounded(cursor, limit)
    documents, unreadable = documents_of(rows)
    continuation = continuation_of(rows[-1][len(COLUMNS.split(",")) :]) if more else None
    return Page(documents, continuation, more, unreadable)
