"""The aggregate functions, fed one value after another.

Undefined values are left out. SUM and AVG over a value that is no number, MIN and MAX over an array
or object, are undefined. https://learn.microsoft.com/azure/cosmos-db/nosql/query/sum and others
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.values import (
    LIST_RANK,
    UNDEFINED,
    is_number,
    number,
    rank,
    sort_key,
)


class Accumulator(ABC):
    """The state of one aggregate of one group."""

    @abstractmethod
    def add(self, value: Any) -> None:
        """Take in a value that is defined."""

    @abstractmethod
    def result(self) -> Any: ...


class _Count(Accumulator):
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Any) -> None:  # noqa: ARG002  whatever it is
        self._count += 1

    def result(self) -> Any:
        return self._count


class _Sum(Accumulator):
    def __init__(self, *, is_average: bool = False) -> None:
        self._is_average = is_average
        self._sum: float = 0
        self._count = 0
        self._is_number = True

    def add(self, value: Any) -> None:
        if not is_number(value):
            self._is_number = False
            return
        self._count += 1
        try:
            self._sum += value
        except OverflowError:  # a whole number that is no double any more
            self._is_number = False

    def result(self) -> Any:
        if not self._is_number or (self._is_average and not self._count):
            return UNDEFINED
        total = number(self._sum)
        return total / self._count if self._is_average and is_number(total) else total


class _Extreme(Accumulator):
    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._best: Any = UNDEFINED
        self._is_scalar = True

    def add(self, value: Any) -> None:
        if rank(value) >= LIST_RANK:
            self._is_scalar = False
        elif self._best is UNDEFINED or self._beats(value):
            self._best = value

    def _beats(self, value: Any) -> bool:
        ours, best = sort_key(value), sort_key(self._best)
        return ours < best if self._sign < 0 else ours > best

    def result(self) -> Any:
        return self._best if self._is_scalar else UNDEFINED


ACCUMULATORS: Final[Mapping[str, Callable[[], Accumulator]]] = {
    "COUNT": _Count,
    "SUM": _Sum,
    "AVG": lambda: _Sum(is_average=True),
    "MIN": lambda: _Extreme(-1),
    "MAX": lambda: _Extreme(1),
}
