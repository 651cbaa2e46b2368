"""Translates a Query to SQL over the stored JSON, with the comparison rules of Cosmos DB.

A missing field matches nothing. Order and range comparisons hold within one JSON type only; an
order over several types is undefined < null < false < true < numbers < strings, and ties go by id
(https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by). Pages continue after the last
row's sort key, so what is written or deleted between two pages neither repeats nor skips a row.
Queries are those that `query_rules` let pass.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from shared.persistence.cosmos_form import stored_id
from shared.persistence.query_rules import (
    NUMBER_MAX,
    is_unicode,
    no_continuation,
    text_of,
    texts_of,
)
from shared.persistence.store import AnyOf, Comparison, Condition, Query, Where

_DUE_COMPARED: Final = frozenset(
    {Comparison.EQ, Comparison.LT, Comparison.LE, Comparison.GT, Comparison.GE}
)
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
_AFTER_ALL: Final = "\U0010ffff"
_RANK: Final = (
    "CASE json_type(body, {path}) WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 3"
    " WHEN 'integer' THEN 4 WHEN 'real' THEN 4 WHEN 'text' THEN 5 WHEN 'array' THEN 6"
    " WHEN 'object' THEN 7 ELSE 0 END"
)

Sql = tuple[str, list[Any]]


def is_of_columns(where: Condition) -> bool:
    """Return whether *where* is answered without a look into the body."""
    return isinstance(where, Where) and (where.path == "id" or _is_due(where) or _is_of_type(where))


def _is_of_type(where: Where) -> bool:
    """Return whether *where* asks for a type, which is stored as a column."""
    is_equal = where.comparison is Comparison.EQ and isinstance(where.value, str)
    return where.path == "type" and is_equal


def plain_type(conditions: Iterable[Condition]) -> str | None:
    """Return the type that all documents have which meet *conditions*, where it is a plain name."""
    for where in conditions:
        if isinstance(where, Where) and _is_of_type(where) and _PLAIN.fullmatch(str(where.value)):
            return str(where.value)
    return None


def _is_due(where: Condition) -> bool:
    """Return whether *where* compares `dueAt` with text, which is stored and indexed as a column.

    NULL, which stands for no such text, compares as true with nothing.
    """
    return (
        isinstance(where, Where)
        and where.path == "dueAt"
        and isinstance(where.value, str)
        and where.comparison in _DUE_COMPARED
    )


def condition(where: Condition) -> Sql:
    """Return the SQL condition of *where* and its parameters."""
    if isinstance(where, AnyOf):
        text, parameters = joined(" OR ", map(condition, where.conditions))
        return f"({text or '0'})", parameters
    if where.path == "id":
        return _id_condition(where)
    if _is_due(where):
        return f"due_at {where.comparison.value} ?", [where.value]
    if _is_of_type(where):
        # As text, not as a parameter: so SQLite sees which partial indexes hold all that is asked.
        plain = plain_type([where])
        return ("type = ?", [where.value]) if plain is None else (f"type = '{plain}'", [])
    return _of_body(where)


def joined(word: str, conditions: Iterable[Sql]) -> Sql:
    """Return *conditions* as one, with *word* between them."""
    terms = list(conditions)
    return word.join(text for text, _ in terms), [value for _, own in terms for value in own]


def _of_body(where: Where) -> Sql:
    path = _json_path(where.path)
    named = _named(where.path)
    extract, kind = f"json_extract(body, {path})", f"json_type(body, {path})"
    value = where.value
    match where.comparison:
        case Comparison.NE:
            equal, parameters = _typed(extract, kind, "=", value)
            return f"({named} AND {kind} IS NOT NULL AND NOT ({equal}))", parameters
        case Comparison.IS_NOT:
            equal, parameters = _typed(extract, kind, "=", value)
            return f"NOT coalesce({named} AND {equal}, 0)", parameters
        case Comparison.STARTS_WITH:
            prefix = text_of(where)
            starts = f"{kind} = 'text' AND substr({extract}, 1, ?) = ?"
            return f"({named} AND {starts})", [len(prefix), prefix]
        case Comparison.IN:
            values = texts_of(where)
            marks = ", ".join("?" * len(values))
            return f"({named} AND {kind} = 'text' AND {extract} IN ({marks}))", list(values)
        case Comparison.EQ if isinstance(value, str):
            return f"({named} AND {kind} = 'text' AND {field_value(where.path)} = ?)", [value]
        case comparison:
            compared, parameters = _typed(extract, kind, comparison.value, value)
            return f"({named} AND {compared})", parameters


def field_value(path: str) -> str:
    """Return the SQL expression that indexes of *path* are over; NULL in a body that is not JSON.

    It is the same text wherever it stands, else SQLite would not find the index.
    """
    return f"CASE WHEN json_valid(body) THEN json_extract(body, {_json_path(path)}) END"


def _named(path: str) -> str:
    """Return a condition that every body with a field *path* meets; parsing costs ten times more.

    Stored JSON writes a name of ASCII letters, digits and _ in one way only.
    """
    return f"instr(body, '\"{path.rpartition('.')[2]}\"') > 0"


def _typed(extract: str, kind: str, operator: str, value: object) -> Sql:
    match value:
        case None:
            return (f"{kind} = 'null'" if operator in {"=", "<=", ">="} else "0"), []
        case bool():
            return f"({kind} IN ('true', 'false') AND {extract} {operator} ?)", [int(value)]
        case str():
            return f"({kind} = 'text' AND {extract} {operator} ?)", [value]
        case _:
            return f"({kind} IN ('integer', 'real') AND {extract} {operator} ?)", [value]


def _id_condition(where: Where) -> Sql:
    match where.comparison:
        case Comparison.STARTS_WITH:
            prefix = stored_id(text_of(where)) if where.value else ""
            return "(id >= ? AND id < ?)", [prefix, prefix + _AFTER_ALL]
        case Comparison.IN:
            values = [stored_id(value) for value in texts_of(where)]
            return f"id IN ({', '.join('?' * len(values))})", values
        case comparison:
            return f"id {comparison.value} ?", [stored_id(text_of(where))]


def if_json(sql: Sql) -> Sql:
    """Return the condition *sql* so that it is false, not an error, for a body that is not JSON."""
    text, parameters = sql
    return f"CASE WHEN json_valid(body) THEN {text} ELSE 0 END", parameters


def _json_path(path: str) -> str:
    """Return the SQL literal of the JSON path of the body's *path*."""
    return f"'$.body.{path}'"


class Order:
    """The sort key of one query, ended by id and partition so that it is total."""

    def __init__(self, query: Query) -> None:
        direction = "DESC" if query.descending else "ASC"
        self._after = "<" if query.descending else ">"
        self.columns: list[str] = []
        self._types: list[tuple[type, ...]] = []
        if query.order_by == "dueAt" and any(map(_is_due, query.where)):
            self.columns, self._types = ["due_at"], [(str,)]
        elif query.order_by != "id":
            path = _json_path(query.order_by)
            rank = _RANK.format(path=path)
            value = (
                f"CASE WHEN json_type(body, {path}) IN ('integer', 'real', 'text')"
                f" THEN json_extract(body, {path}) ELSE 0 END"
            )
            self.columns, self._types = [rank, value], [(int,), (int, float, str)]
        self._only_id = _only_id(query) if not self.columns else None
        self.columns += ["id", "partition"]
        self._types += [(str,), (str,)]
        self.by = ", ".join(f"{column} {direction}" for column in self.columns)

    def after(self, continuation: str) -> Sql:
        """Return the condition for rows behind *continuation*. Raises Invalid."""
        try:
            key = json.loads(continuation)
        except (ValueError, RecursionError) as problem:
            raise no_continuation(continuation) from problem
        if not isinstance(key, list) or not self._is_key(key):
            raise no_continuation(continuation)
        if key[0] == self._only_id:
            # The index over partition and id begins there; by both columns it would at the first.
            return f"partition {self._after} ?", key[1:]
        left, marks = ", ".join(self.columns), ", ".join("?" * len(key))
        return f"({left}) {self._after} ({marks})", key

    def _is_key(self, key: Sequence[Any]) -> bool:
        """Return whether *key* has a value of its type for each column."""
        return len(key) == len(self._types) and all(
            type(value) in types and _is_comparable(value)
            for value, types in zip(key, self._types, strict=True)
        )


def _only_id(query: Query) -> str | None:
    """Return the stored id that all documents have which *query* asks for, if it names one."""
    for where in query.where:
        if isinstance(where, Where) and where.path == "id" and where.comparison is Comparison.EQ:
            return stored_id(text_of(where))
    return None


def _is_comparable(value: str | float) -> bool:
    return is_unicode(value) if isinstance(value, str) else -NUMBER_MAX <= value <= NUMBER_MAX


def continuation_of(key: Sequence[Any]) -> str:
    return json.dumps(list(key), separators=(",", ":"))
