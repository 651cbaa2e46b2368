"""The array and set functions.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions#array-functions
"""

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.signatures import ANY_NUMBER, Function
from local_cloud.cosmos_endpoint.query.values import (
    UNDEFINED,
    canonical,
    equal,
    is_number,
    number,
    sort_key,
    whole,
)

ITEMS_MAX: Final = 100_000
"""A bound on what ARRAY_CONCAT makes, which may stand inside another."""


def _of_arrays(combine: Callable[..., Any], least: int, most: int = 0) -> Function:
    def apply(*values: Any) -> Any:
        return combine(*values) if all(isinstance(value, list) for value in values) else UNDEFINED

    return Function(least, most or least, apply)


def _concatenated(*arrays: list[Any]) -> list[Any]:
    if sum(map(len, arrays)) > ITEMS_MAX:
        raise SqlRefused(f"an array that a query makes has at most {ITEMS_MAX} items")
    return [item for array in arrays for item in array]


def _contains(array: Any, wanted: Any, is_partial: Any = False) -> Any:  # noqa: FBT002  SQL
    if not isinstance(array, list) or not isinstance(is_partial, bool):
        return UNDEFINED
    if is_partial and isinstance(wanted, dict):
        return any(_holds(item, wanted) for item in array)
    return any(equal(item, wanted) for item in array)


def _holds(item: Any, part: Mapping[str, Any]) -> bool:
    return isinstance(item, dict) and all(
        name in item and equal(item[name], value) for name, value in part.items()
    )


def _contains_each(decisive: bool) -> Function:  # noqa: FBT001  any or all
    """Return the test of several values: one that is *decisive* settles it, then undefined does."""

    def apply(array: Any, *wanted: Any) -> Any:
        if not isinstance(array, list):
            return UNDEFINED
        results = [
            UNDEFINED if value is UNDEFINED else any(equal(item, value) for item in array)
            for value in wanted
        ]
        if any(result is decisive for result in results):
            return decisive
        return UNDEFINED if UNDEFINED in results else not decisive

    return Function(2, ANY_NUMBER, apply, takes_undefined=True)


def _slice(array: Any, start: Any, length: Any = 2**31) -> Any:
    first, count = whole(start), whole(length)
    if not isinstance(array, list) or first is None or count is None:
        return UNDEFINED
    first = first if first >= 0 else max(len(array) + first, 0)
    return array[first : first + count] if count > 0 else []


def _distinct(items: Iterable[Any]) -> list[Any]:
    return list({canonical(item): item for item in reversed(list(items))}.values())[::-1]


def _intersection(left: list[Any], right: list[Any]) -> list[Any]:
    known = set(map(canonical, right))
    return _distinct(item for item in left if canonical(item) in known)


def _difference(left: list[Any], right: list[Any]) -> list[Any]:
    known = set(map(canonical, right))
    return _distinct(item for item in left if canonical(item) not in known)


def _same_set(left: list[Any], right: list[Any]) -> bool:
    return set(map(canonical, left)) == set(map(canonical, right))


def _chosen(index: Any, *values: Any) -> Any:
    chosen = whole(index)
    if chosen is None or not 1 <= chosen <= len(values):
        return UNDEFINED
    return values[chosen - 1]


def _entries(value: Any, key: Any = "k", content: Any = "v") -> Any:
    if not (isinstance(value, dict) and isinstance(key, str) and isinstance(content, str)):
        return UNDEFINED
    return [{key: name, content: inner} for name, inner in value.items()]


def _calculated(calculate: Callable[[list[Any]], Any]) -> Function:
    """Return a calculation over an array of one or more numbers."""

    def apply(array: list[Any]) -> Any:
        if not array or not all(map(is_number, array)):
            return UNDEFINED
        try:
            return number(calculate(array))
        except ArithmeticError:
            return UNDEFINED

    return _of_arrays(apply, 1)


def _extreme(choose: Callable[..., Any]) -> Function:
    return _of_arrays(lambda array: choose(array, key=sort_key) if array else UNDEFINED, 1)


ARRAY_FUNCTIONS: Final[Mapping[str, Function]] = {
    "ARRAY_AVG": _calculated(lambda array: sum(array) / len(array)),
    "ARRAY_CONCAT": _of_arrays(_concatenated, 2, ANY_NUMBER),
    "ARRAY_CONTAINS": Function(2, 3, _contains),
    "ARRAY_CONTAINS_ALL": _contains_each(decisive=False),
    "ARRAY_CONTAINS_ANY": _contains_each(decisive=True),
    "ARRAY_LENGTH": _of_arrays(len, 1),
    "ARRAY_MAX": _extreme(max),
    "ARRAY_MEDIAN": _calculated(median),
    "ARRAY_MIN": _extreme(min),
    "ARRAY_SLICE": Function(2, 3, _slice),
    "ARRAY_SUM": _calculated(sum),
    "CHOOSE": Function(2, ANY_NUMBER, _chosen, takes_undefined=True),
    "OBJECTTOARRAY": Function(1, 3, _entries),
    "SETDIFFERENCE": _of_arrays(_difference, 2),
    "SETEQUAL": _of_arrays(_same_set, 2),
    "SETINTERSECT": _of_arrays(_intersection, 2),
    "SETUNION": _of_arrays(lambda left, right: _distinct(_concatenated(left, right)), 2),
}
