"""Runs a parsed query over documents, with Cosmos DB's undefined, types and order.

A comparison with undefined is undefined, and so is one of two types by `<`; `=` of two types is
false. A row is kept when its condition is true. Order over types: undefined, null, false, true,
numbers, strings, arrays, objects; equal rows stand in the order of their ids.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key, partial
from types import NoneType, UnionType
from typing import Any, Final

from local_cloud.cosmos_endpoint.query_parser import (
    ConstantValue,
    Expression,
    FunctionCall,
    PropertyPath,
    Select,
    SqlRefused,
)
from shared.persistence.query_rules import PAGE_MAX_BYTES


class _Undefined:
    """The value of a path that leads nowhere."""


UNDEFINED: Final = _Undefined()
JsonDocument = Mapping[str, Any]
SortKey = list[Any]
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matches(select: Select, document: JsonDocument) -> bool:
    """Return whether *document* is in the result."""
    return select.where is None or evaluate(select.where, document) is True


def evaluate(expression: Expression, document: JsonDocument) -> Any:
    """Return the value of *expression* for *document*, UNDEFINED included. Raises SqlRefused."""
    match expression:
        case ConstantValue(value):
            return value
        case PropertyPath(steps):
            return _walk(document, steps)
        case FunctionCall("AND" | "OR" as name, arguments):
            return _joined(name, (evaluate(argument, document) for argument in arguments))
        case FunctionCall(name, arguments):
            return _called(name, [evaluate(argument, document) for argument in arguments])


def _walk(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        match value, step:
            case dict(), _ if step in value:
                value = value[step]
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return UNDEFINED
    return value


def _joined(name: str, values: Iterable[Any]) -> Any:
    decisive = name == "OR"
    result: Any = not decisive
    for value in values:
        if value is decisive:
            return decisive
        if value is not (not decisive):
            result = UNDEFINED
    return result


def _called(name: str, values: Sequence[Any]) -> Any:
    if name == "IS_DEFINED":
        return values[0] is not UNDEFINED
    if any(value is UNDEFINED for value in values):
        return UNDEFINED
    if name not in _FUNCTIONS:
        raise SqlRefused(f"{name} stands alone in SELECT VALUE, not inside an expression")
    return _FUNCTIONS[name](*values)


def _not(value: Any) -> Any:
    return not value if isinstance(value, bool) else UNDEFINED


def _between(value: Any, low: Any, high: Any) -> Any:
    return _joined("AND", [_compared(">=", value, low), _compared("<=", value, high)])


def _contains(values: Any, wanted: Any) -> bool:
    return isinstance(values, list) and any(equal(value, wanted) for value in values)


def _text_test(
    test: Callable[[str, str], bool],
) -> Callable[[Any, Any, bool], Any]:
    def apply(text: Any, part: Any, ignores_case: bool = False) -> Any:  # noqa: FBT001, FBT002  SQL
        if not isinstance(text, str) or not isinstance(part, str):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignores_case else test(text, part)

    return apply


def _text_change(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda text: change(text) if isinstance(text, str) else UNDEFINED


def rank(value: Any) -> int:
    """Return the rank of *value*'s type in Cosmos DB's order of types."""
    if isinstance(value, bool):
        return 3 if value else 2
    return next(rank for rank, kind in _RANKS if isinstance(value, kind))


def equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal; values of two types never are."""
    if rank(left) != rank(right):
        return False
    match left:
        case list():
            return len(left) == len(right) and all(map(equal, left, right))
        case dict():
            same: bool = left.keys() == right.keys()
            return same and all(equal(value, right[name]) for name, value in left.items())
        case _:
            return bool(left == right)


def _compared(operator: str, left: Any, right: Any) -> Any:
    same_type = rank(left) == rank(right) or (isinstance(left, bool) and isinstance(right, bool))
    if not same_type or isinstance(left, list | Mapping):
        return UNDEFINED
    if left is None:
        return operator in {"<=", ">="}
    return _OPERATORS[operator](left, right)


_RANKS: Final[Sequence[tuple[int, type | UnionType]]] = (
    (0, _Undefined),
    (1, NoneType),
    (4, int | float),
    (5, str),
    (6, list),
    (7, object),
)
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "NOT": _not,
    "=": equal,
    "!=": lambda left, right: not equal(left, right),
    **{name: partial(_compared, name) for name in _OPERATORS},
    "IN": lambda value, *others: any(equal(value, other) for other in others),
    "BETWEEN": _between,
    "IS_NULL": lambda value: value is None,
    "ARRAY_CONTAINS": _contains,
    "LOWER": _text_change(str.lower),
    "UPPER": _text_change(str.upper),
    "STARTSWITH": _text_test(str.startswith),
    "ENDSWITH": _text_test(str.endswith),
    "CONTAINS": _text_test(str.__contains__),
}


class Ordering:
    """The total order of one query's rows: its ORDER BY, then the id, then the partition."""

    def __init__(self, select: Select) -> None:
        self._order = select.order_by
        last_descends = bool(select.order_by) and select.order_by[-1][1]
        self._descends = [descends for _, descends in select.order_by] + [last_descends] * 2

    def key(self, document: JsonDocument, partition: str) -> SortKey:
        """Return the sort key as JSON, so that it can be a continuation."""
        key: SortKey = []
        for path, _ in self._order:
            value = evaluate(path, document)
            comparable = isinstance(value, str | int | float) and not isinstance(value, bool)
            key.append([rank(value), value if comparable else 0])
        return [*key, document["id"], partition]

    def is_key(self, value: Any) -> bool:
        """Return whether `key` may have made *value*."""
        match value:
            case [*order, str(), str()] if len(order) == len(self._order):
                return all(map(_is_ranked, order))
            case _:
                return False

    def compare(self, left: SortKey, right: SortKey) -> int:
        for ours, theirs, descends in zip(left, right, self._descends, strict=True):
            if ours != theirs:
                return (-1 if ours < theirs else 1) * (-1 if descends else 1)
        return 0

    def sorted(
        self, rows: list[tuple[SortKey, JsonDocument]]
    ) -> list[tuple[SortKey, JsonDocument]]:
        by_key = cmp_to_key(self.compare)
        return sorted(rows, key=lambda row: by_key(row[0]))


def _is_ranked(value: Any) -> bool:
    match value:
        case [4 | 5 as of_type, sorted_by]:
            return bool(rank(sorted_by) == of_type)
        case [int(), 0]:
            return True
        case _:
            return False


def projected(select: Select, documents: Sequence[JsonDocument]) -> list[Any]:
    """Return what *select* shows of its rows; `VALUE COUNT(1)` shows one number of them all."""
    match select.columns:
        case []:
            return list(documents)
        case [(None, FunctionCall("COUNT", [argument]))]:
            return [sum(evaluate(argument, document) is not UNDEFINED for document in documents)]
        case [(None, expression)]:
            values = [evaluate(expression, document) for document in documents]
            return [value for value in values if value is not UNDEFINED]
        case columns:
            return [_shaped(columns, document) for document in documents]


def _shaped(
    columns: Sequence[tuple[str | None, Expression]], document: JsonDocument
) -> dict[str, Any]:
    shaped = {str(name): evaluate(expression, document) for name, expression in columns}
    return {name: value for name, value in shaped.items() if value is not UNDEFINED}


def is_aggregate(select: Select) -> bool:
    """Return whether the result is one value of all rows, which cannot be paged."""
    match select.columns:
        case [(None, FunctionCall("COUNT", _))]:
            return True
        case _:
            return False


def page_of(
    select: Select,
    documents: Iterable[tuple[str, JsonDocument]],
    size: int,
    continuation: str | None,
) -> tuple[list[Any], str | None]:
    """Return one page of at most *size* rows of (partition, document), and how to go on.

    The continuation names the last row's sort key and how many rows may still come, so writes in
    between repeat and skip nothing. Raises SqlRefused.
    """
    ordering = Ordering(select)
    rows = ordering.sorted(
        [
            (ordering.key(row, partition), row)
            for partition, row in documents
            if matches(select, row)
        ]
    )
    if is_aggregate(select):
        return projected(select, [row for _, row in rows]), None
    if continuation is None:
        rows, left = rows[select.offset :], select.limit
    else:
        after, left = _continuation_key(ordering, continuation)
        rows = [row for row in rows if ordering.compare(row[0], after) > 0]
    allowed = len(rows) if left is None else min(left, len(rows))
    page = _fitting(rows[: min(size, allowed)])
    shown = projected(select, [row for _, row in page])
    if len(page) >= allowed or not page:
        return shown, None
    still = None if left is None else left - len(page)
    return shown, json.dumps([page[-1][0], still], separators=(",", ":"))


def _fitting(rows: list[tuple[SortKey, JsonDocument]]) -> list[tuple[SortKey, JsonDocument]]:
    """Return the first of *rows*, and those behind it that fit into one response."""
    size = 0
    for index, (_, document) in enumerate(rows):
        size += len(json.dumps(document))
        if index and size > PAGE_MAX_BYTES:
            return rows[:index]
    return rows


def _continuation_key(ordering: Ordering, continuation: str) -> tuple[SortKey, int | None]:
    """Return the key that `page_of` ended a page with. Raises SqlRefused."""
    try:
        after, left = json.loads(continuation)
    except (ValueError, TypeError, RecursionError) as problem:
        raise SqlRefused(f"not a continuation: {continuation[:80]!r}") from problem
    if not (ordering.is_key(after) and isinstance(left, int | None)):
        raise SqlRefused(f"not a continuation: {continuation[:80]!r}")
    return after, left
