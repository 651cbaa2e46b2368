"""The result of a read of live state: Present, Absent or Unknown.

An error, a throttled call or an incomplete listing is `Unknown`. Unknown changes nothing: it never
retires, prunes or re-creates anything.
"""

from typing import Generic, TypeAlias, TypeVar

from shared.kernel.dataclass import dataclass

T = TypeVar("T")


@dataclass(frozen=True)
class Present(Generic[T]):
    """It exists; `value` is what was read."""

    value: T


@dataclass(frozen=True)
class Absent:
    """A complete answer showed that it does not exist."""


@dataclass(frozen=True)
class Unknown:
    """There was no reliable answer; `reason` is a sentence for an operator."""

    reason: str


Reading: TypeAlias = Present[T] | Absent | Unknown
