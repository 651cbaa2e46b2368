"""Translates a Query to SQL over the stored JSON, with the comparison rules of Cosmos DB.

A missing field matches nothing. Order and range comparisons hold within one JSON type only; an
order over several types is undefined < null < false < true < numbers < strings, and ties go by id
(https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by). Pages continue after the last
row's sort key, so what is written or deleted between two pages neither repeats nor skips a row.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from shared.kernel.errors import Invalid
from shared.persistence.cosmos_form import stored_id
from shared.persistence.store import Comparison, Query, Where

PAGE_MAX: Final = 1000
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_DUE_COMPARED: Final = frozenset(
    {Comparison.EQ, Comparison.LT, Comparison.LE, Comparison.GT, Comparison.GE}
)
_AFTER_ALL: Final = "\U0010ffff"
_RANK: Final = (
    "CASE json_type(body, {path}) WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 3"
    " WHEN 'integer' THEN 4 WHEN 'real' THEN 4 WHEN 'text' THEN 5 WHEN 'array' THEN 6"
    " WHEN 'object' THEN 7 ELSE 0 END"
)

Sql = tuple[str, list[Any]]


def condition(where: Where) -> Sql:
    """Return the SQL condition of *where* and its parameters. Raises Invalid."""
    if where.path == "id":
        return _id_condition(where)
    if is_due(where):
        return f"due_at {where.comparison.value} ?", [where.value]
    path = json_path(where.path)
    named = _named(where.path)
    extract, kind = f"json_extract(body, {path})", f"json_type(body, {path})"
    value = where.value
    match where.comparison:
        case Comparison.NE:
            equal, parameters = _typed(extract, kind, "=", value)
            return f"({named} AND {kind} IS NOT NULL AND NOT ({equal}))", parameters
        case Comparison.STARTS_WITH:
            prefix = _text(where)
            starts = f"{kind} = 'text' AND substr({extract}, 1, ?) = ?"
            return f"({named} AND {starts})", [len(prefix), prefix]
        case Comparison.IN:
            values = _texts(where)
            marks = ", ".join("?" * len(values))
            return f"({named} AND {kind} = 'text' AND {extract} IN ({marks}))", list(values)
        case comparison:
            compared, parameters = _typed(extract, kind, comparison.value, value)
            return f"({named} AND {compared})", parameters


def is_due(where: Where) -> bool:
    """Return whether *where* compares `dueAt` with text, which is stored and indexed as a column.

    NULL, which stands for no such text, compares as true with nothing.
    """
    return (
        where.path == "dueAt" and isinstance(where.value, str) and where.comparison in _DUE_COMPARED
    )


def _named(path: str) -> str:
    """Return what holds for every body with a field *path*, at a tenth of the cost of parsing it.

    Stored JSON writes a name of ASCII letters, digits and _ in one way only.
    """
    return f"instr(body, '\"{path.rpartition('.')[2]}\"') > 0"


def _typed(extract: str, kind: str, operator: str, value: object) -> Sql:
    match value:
        case None:
            return (f"{kind} = 'null'" if operator in {"=", "<=", ">="} else "0"), []
        case bool():
            return f"({kind} IN ('true', 'false') AND {extract} {operator} ?)", [int(value)]
        case int() | float():
            return f"({kind} IN ('integer', 'real') AND {extract} {operator} ?)", [value]
        case str():
            return f"({kind} = 'text' AND {extract} {operator} ?)", [value]
        case _:
            raise Invalid(f"{operator} compares with text, number, bool or null, got {value!r}")


def _id_condition(where: Where) -> Sql:
    match where.comparison:
        case Comparison.STARTS_WITH:
            prefix = stored_id(_text(where)) if where.value else ""
            return "(id >= ? AND id < ?)", [prefix, prefix + _AFTER_ALL]
        case Comparison.IN:
            values = [stored_id(value) for value in _texts(where)]
            return f"id IN ({', '.join('?' * len(values))})", values
        case comparison:
            return f"id {comparison.value} ?", [stored_id(_text(where))]


def _text(where: Where) -> str:
    if not isinstance(where.value, str):
        raise Invalid(f"{where.path} {where.comparison} takes text, got {where.value!r}")
    return where.value


def _texts(where: Where) -> Sequence[str]:
    if isinstance(where.value, str) or not isinstance(where.value, Sequence):
        raise Invalid(f"{where.path} IN takes a list of text, got {where.value!r}")
    return where.value


def checked_path(path: str) -> str:
    """Return *path* if it is names joined by dots. Raises Invalid."""
    if not _PATH.fullmatch(path):
        raise Invalid(f"a query's path is names joined by dots, got {path[:80]!r}")
    return path


def json_path(path: str) -> str:
    """Return the SQL literal of the JSON path of the body's *path*. Raises Invalid."""
    return f"'$.body.{checked_path(path)}'"


class Order:
    """The sort key of one query, ended by id and partition so that it is total."""

    def __init__(self, query: Query) -> None:
        self._direction = "DESC" if query.descending else "ASC"
        self._after = "<" if query.descending else ">"
        self.columns: list[str] = []
        if query.order_by == "dueAt" and any(map(is_due, query.where)):
            self.columns = ["due_at"]
        elif query.order_by != "id":
            path = json_path(query.order_by)
            rank = _RANK.format(path=path)
            value = (
                f"CASE WHEN json_type(body, {path}) IN ('integer', 'real', 'text')"
                f" THEN json_extract(body, {path}) ELSE 0 END"
            )
            self.columns = [rank, value]
        self.columns += ["id", "partition"]

    @property
    def by(self) -> str:
        return ", ".join(f"{column} {self._direction}" for column in self.columns)

    def after(self, continuation: str) -> Sql:
        """Return the condition for rows behind *continuation*. Raises Invalid."""
        try:
            key = json.loads(continuation)
        except ValueError as problem:
            raise Invalid(f"not a continuation of this query: {continuation[:80]!r}") from problem
        if not isinstance(key, list) or len(key) != len(self.columns):
            raise Invalid(f"not a continuation of this query: {continuation[:80]!r}")
        left, marks = ", ".join(self.columns), ", ".join("?" * len(key))
        return f"({left}) {self._after} ({marks})", key


def page_limit(query: Query) -> int:
    """Return how many documents a page of *query* holds. Raises Invalid."""
    if not 1 <= query.limit <= PAGE_MAX:
        raise Invalid(f"a page has 1 to {PAGE_MAX} documents, got {query.limit}")
    return query.limit


def continuation_of(key: Sequence[Any]) -> str:
    return json.dumps(list(key), separators=(",", ":"))
