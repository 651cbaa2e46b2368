"""JSON values as Cosmos DB compares and orders them, and undefined, which is none of them.

Order over types: undefined, null, false, true, numbers, strings, arrays, objects
(https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by).
"""

import json
import math
from types import NoneType
from typing import Any, Final


class Undefined:
    """The value of a path that leads nowhere, and of an operation on values of a wrong type."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()
SortKey = list[Any]
"""[rank of the type, what orders within it]: JSON, and comparable in Python."""
FALSE_RANK: Final = 2
_RANKS: Final[dict[type, int]] = {
    Undefined: 0, NoneType: 1, int: 4, float: 4, str: 5, list: 6, dict: 7,
}  # fmt: skip
NUMBER_RANK: Final = 4
TEXT_RANK: Final = 5
LIST_RANK: Final = 6
_WHOLE_BELOW: Final = 2.0**63


def rank(value: Any) -> int:
    """Return the rank of *value*'s type in the order of types."""
    if value is True:
        return 3
    return FALSE_RANK if value is False else _RANKS[type(value)]


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def finite(text: str) -> float:
    """Return the number that JSON *text* writes. Raises ValueError over 1.8e308."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is at most 1.8e308")
    return value


def whole(value: Any) -> int | None:
    """Return a number without a fraction that fits into 64 bits as int; None for anything else."""
    if not is_number(value) or not -_WHOLE_BELOW <= value < _WHOLE_BELOW:
        return None
    return int(value) if float(value).is_integer() else None


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


def number(value: float) -> Any:
    """Return *value* as JSON shows it, a whole one without a fraction; no number is UNDEFINED."""
    if isinstance(value, int):
        if abs(value) < _WHOLE_BELOW:
            return value
        try:
            return float(value)
        except OverflowError:
            return UNDEFINED
    if not math.isfinite(value):
        return UNDEFINED
    return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value


def canonical(value: Any) -> str:
    """Return text that is the same for equal values and no others."""
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"))


def _whole(value: Any) -> Any:
    match value:
        case float():
            return number(value)
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case _:
            return value


def sort_key(value: Any) -> SortKey:
    """Return the place of *value* in the order over all types; equal values have one place."""
    place = rank(value)
    if place < NUMBER_RANK:
        return [place, 0]
    return [place, canonical(value) if place >= LIST_RANK else value]
