"""The mathematical functions and the arithmetic operators.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions#mathematical-functions
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.signatures import Function, of_numbers
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, whole

_BITS_64: Final = 2**63
_BITS_32: Final = 2**32


def _rounded(value: float) -> float:
    """Return *value* rounded, halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value) if abs(value) < 2**52 else value


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _binned(value: float, size: float = 1) -> float:
    return math.floor(value / size) * size


def _quotient(left: int, right: int) -> int:
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _shifted(value: int, by: int) -> int:
    return ((value << by) + _BITS_64) % (2 * _BITS_64) - _BITS_64


def _of_integers(
    calculate: Callable[..., int], count: int = 2, *, shifts: bool = False
) -> Function:
    """Return a function of 64-bit integers; what does not fit is undefined."""

    def apply(*values: Any) -> Any:
        integers = [integer for value in values if (integer := whole(value)) is not None]
        if len(integers) < len(values):
            return UNDEFINED
        if shifts and not 0 <= integers[1] < 64:  # noqa: PLR2004  bits
            return UNDEFINED
        try:
            result = calculate(*integers)
        except ZeroDivisionError:
            return UNDEFINED
        return result if -_BITS_64 <= result < _BITS_64 else UNDEFINED

    return Function(count, count, apply)


def _bits(value: float) -> int:
    """Return *value* as 32 bits with a sign, as in JavaScript."""
    whole = int(value) % _BITS_32
    return whole - _BITS_32 if whole >= _BITS_32 // 2 else whole


def _on_bits(calculate: Callable[..., int], count: int = 2) -> Function:
    return of_numbers(lambda *values: _bits(calculate(*map(_bits, values))), count)


NUMBER_FUNCTIONS: Final[Mapping[str, Function]] = {
    "+": of_numbers(lambda left, right: left + right, 2),
    "-": of_numbers(lambda left, right: left - right, 2),
    "*": of_numbers(lambda left, right: left * right, 2),
    "/": of_numbers(lambda left, right: left / right, 2),
    "%": of_numbers(math.fmod, 2),
    "unary -": of_numbers(lambda value: -value),
    "unary +": of_numbers(lambda value: value),
    "unary ~": _on_bits(lambda value: ~value, 1),
    "&": _on_bits(lambda left, right: left & right),
    "|": _on_bits(lambda left, right: left | right),
    "^": _on_bits(lambda left, right: left ^ right),
    "<<": _on_bits(lambda left, right: left << (right % 32)),
    ">>": _on_bits(lambda left, right: left >> (right % 32)),
    ">>>": of_numbers(lambda left, right: (_bits(left) % _BITS_32) >> (_bits(right) % 32), 2),
    "ABS": of_numbers(abs),
    "ACOS": of_numbers(math.acos),
    "ASIN": of_numbers(math.asin),
    "ATAN": of_numbers(math.atan),
    "ATN2": of_numbers(math.atan2, 2),
    "CEILING": of_numbers(math.ceil),
    "COS": of_numbers(math.cos),
    "COT": of_numbers(lambda value: 1 / math.tan(value)),
    "DEGREES": of_numbers(math.degrees),
    "EXP": of_numbers(math.exp),
    "FLOOR": of_numbers(math.floor),
    "INTADD": _of_integers(lambda left, right: left + right),
    "INTBITAND": _of_integers(lambda left, right: left & right),
    "INTBITLEFTSHIFT": _of_integers(_shifted, shifts=True),
    "INTBITNOT": _of_integers(lambda value: ~value, 1),
    "INTBITOR": _of_integers(lambda left, right: left | right),
    "INTBITRIGHTSHIFT": _of_integers(lambda left, right: left >> right, shifts=True),
    "INTBITXOR": _of_integers(lambda left, right: left ^ right),
    "INTDIV": _of_integers(_quotient),
    "INTMOD": _of_integers(lambda left, right: left - right * _quotient(left, right)),
    "INTMUL": _of_integers(lambda left, right: left * right),
    "INTSUB": _of_integers(lambda left, right: left - right),
    "LOG": of_numbers(math.log, 1, 2),
    "LOG10": of_numbers(math.log10),
    "NUMBERBIN": of_numbers(_binned, 1, 2),
    "PI": Function(0, 0, lambda: math.pi),
    "POWER": of_numbers(math.pow, 2),
    "RADIANS": of_numbers(math.radians),
    "ROUND": of_numbers(_rounded),
    "SIGN": of_numbers(_sign),
    "SIN": of_numbers(math.sin),
    "SQRT": of_numbers(math.sqrt),
    "SQUARE": of_numbers(lambda value: value * value),
    "TAN": of_numbers(math.tan),
    "TRUNC": of_numbers(math.trunc),
}
