"""What a function of the query language is."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from local_cloud.cosmos_endpoint.query.values import UNDEFINED, is_number, number

ANY_NUMBER: Final = 2**16
"""Of arguments, where a function takes as many as there are."""


class Function(NamedTuple):
    """How many arguments *apply* takes; where one is undefined so is the result, unless it says."""

    least: int
    most: int
    apply: Callable[..., Any]
    takes_undefined: bool = False


def of_text(change: Callable[..., Any], least: int = 1, most: int = 0) -> Function:
    """Return a function of texts only; a value of another type makes the result undefined."""

    def apply(*values: Any) -> Any:
        return change(*values) if all(isinstance(value, str) for value in values) else UNDEFINED

    return Function(least, most or least, apply)


def of_numbers(calculate: Callable[..., Any], least: int = 1, most: int = 0) -> Function:
    """Return a function of numbers only; where it has no value the result is undefined."""

    def apply(*values: Any) -> Any:
        if not all(map(is_number, values)):
            return UNDEFINED
        try:
            return number(calculate(*values))
        except (ArithmeticError, ValueError):
            return UNDEFINED

    return Function(least, most or least, apply)
