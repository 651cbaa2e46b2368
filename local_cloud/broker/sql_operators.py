"""The operators of SQL conditions; None is unknown."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

Value = str | bool | int | float | None
_INT_MAX: Final = 2**63 - 1
_TEXT_MAX: Final = 32 * 1024
"""Of a property, as in Service Bus; what is longer is unknown."""


def opposite(value: Value) -> Value:
    """`NOT`; of anything but a boolean unknown."""
    return not value if isinstance(value, bool) else None


def negated(value: Value) -> Value:
    return -value if _is_number(value) else None  # type: ignore[operator]  # a number


def _and(left: Value, right: Value) -> Value:
    if left is False or right is False:
        return False
    return True if left is True and right is True else None


def _or(left: Value, right: Value) -> Value:
    if left is True or right is True:
        return True
    return False if left is False and right is False else None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compared(compare: Callable[[object, object], bool], *, is_order: bool) -> "Operator":
    def operate(left: Value, right: Value) -> Value:
        """Compare numbers, texts, or booleans with their like; anything else is unknown."""
        are_alike = (
            (_is_number(left) and _is_number(right))
            or (isinstance(left, str) and isinstance(right, str))
            or (isinstance(left, bool) and isinstance(right, bool) and not is_order)
        )
        return compare(left, right) if are_alike else None

    return operate


def _calculated(calculate: Callable[[float, float], float]) -> "Operator":
    def operate(left: Value, right: Value) -> Value:
        if not (_is_number(left) and _is_number(right)):
            return None
        try:
            result = calculate(left, right)  # type: ignore[arg-type]  # numbers
        except (ArithmeticError, ValueError):
            return None
        is_out = isinstance(result, int) and abs(result) > _INT_MAX
        return None if is_out or not math.isfinite(result) else result

    return operate


def _quotient(left: float, right: float) -> float:
    """Return the quotient, of whole numbers cut off towards zero as in C#."""
    if isinstance(left, int) and isinstance(right, int):
        whole = abs(left) // abs(right)
        return whole if (left < 0) is (right < 0) else -whole
    return left / right


def _remainder(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int):
        return left - right * int(_quotient(left, right))
    return math.fmod(left, right)


def _sum(left: Value, right: Value) -> Value:
    """Add numbers, join texts."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right if len(left) + len(right) <= _TEXT_MAX else None
    return _ADD(left, right)


Operator = Callable[[Value, Value], Value]
_ADD: Final = _calculated(operator.add)
BINARY: Final[Mapping[str, Operator]] = {
    "AND": _and,
    "OR": _or,
    "=": _compared(operator.eq, is_order=False),
    "<>": _compared(operator.ne, is_order=False),
    "!=": _compared(operator.ne, is_order=False),
    ">": _compared(operator.gt, is_order=True),  # type: ignore[arg-type]  # alike
    ">=": _compared(operator.ge, is_order=True),  # type: ignore[arg-type]
    "<": _compared(operator.lt, is_order=True),  # type: ignore[arg-type]
    "<=": _compared(operator.le, is_order=True),  # type: ignore[arg-type]
    "+": _sum,
    "-": _calculated(operator.sub),
    "*": _calculated(operator.mul),
    "/": _calculated(_quotient),
    "%": _calculated(_remainder),
}


def is_like(value: Value, pattern: Value, escape: Value) -> Value:
    """Return whether *value* is as *pattern* says: `%` any text, `_` any character.

    What lies between two `%` has a fixed length, and is taken where it comes first: so no pattern
    needs more than both lengths' product.
    """
    if not (isinstance(value, str) and isinstance(pattern, str) and isinstance(escape, str)):
        return None
    if len(value) > _TEXT_MAX:
        return None
    first, *others = _parts(pattern, escape)
    if not others:
        return _matcher(first).fullmatch(value) is not None
    *middle, last = others
    match = _matcher(first).match(value)
    for part in middle:
        match = match and _matcher(part).search(value, match.end())
    ends_at = len(value) - len(last)
    return bool(match and match.end() <= ends_at and _matcher(last).fullmatch(value, ends_at))


_ANY_CHARACTER: Final = "."


def _matcher(part: Sequence[str]) -> re.Pattern[str]:
    return re.compile("".join(part), re.DOTALL)


def _parts(text: str, escape: str) -> list[list[str]]:
    """Return for each part between two `%` the expressions of its characters."""
    parts: list[list[str]] = [[]]
    is_escaped = False
    for character in text:
        if not is_escaped and character == escape:
            is_escaped = True
            continue
        if character == "%" and not is_escaped:
            parts.append([])
        elif character == "_" and not is_escaped:
            parts[-1].append(_ANY_CHARACTER)
        else:
            parts[-1].append(re.escape(character))
        is_escaped = False
    return parts
