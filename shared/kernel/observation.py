"""What a read of the world can say: Present, Absent or Unknown, and never a guess.

An error, a throttled call or an incomplete listing is `Unknown`, and Unknown changes nothing: it
retires, prunes and re-creates nothing.
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Present(Generic[T]):
    """It is there, and this is what was seen."""

    value: T


@dataclass(frozen=True)
class Absent:
    """A complete answer said that it is not there."""


@dataclass(frozen=True)
class Unknown:
    """No answer that can be relied on; *reason* is a sentence for an operator."""

    reason: str


Reading: TypeAlias = Present[T] | Absent | Unknown
