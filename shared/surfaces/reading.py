"""A read of the world is Present, Absent or Unknown; only the first two may change anything.

Errors, throttling and incomplete listings are Unknown: they retire, prune and re-create nothing
(invariant 14).
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Present(Generic[T]):
    """The whole of what is there, seen just now."""

    value: T


@dataclass(frozen=True)
class Absent:
    """Looked at, completely, and not there."""


@dataclass(frozen=True)
class Unknown:
    """Could not be seen, or only in part. `reason` is a sentence for an operator."""

    reason: str


Reading: TypeAlias = Present[T] | Absent | Unknown
