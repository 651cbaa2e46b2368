"""Randomness: the only place that draws it, so that one seed can drive a whole run."""

import random  # noqa: TID251  this is the one place
import secrets  # noqa: TID251  this is the one place
import uuid
from typing import Protocol


class Entropy(Protocol):
    """Random identifiers, fractions and tokens."""

    def uuid(self) -> uuid.UUID:
        """Return a version 4 UUID."""
        ...

    def fraction(self) -> float:
        """Return a number in [0, 1), for jitter and sampling; not for secrets."""
        ...

    def bits(self, count: int) -> int:
        """Return a whole number of *count* random bits."""
        ...


class SystemEntropy:
    """The operating system's randomness."""

    def uuid(self) -> uuid.UUID:
        return uuid.uuid4()  # noqa: TID251  this is the one place

    def fraction(self) -> float:
        return random.random()  # noqa: S311  jitter, not a secret

    def bits(self, count: int) -> int:
        return secrets.randbits(count)


class SeededEntropy:
    """A sequence that *seed* determines: equal seeds, equal runs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  determinism is the purpose

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def fraction(self) -> float:
        return self._random.random()

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)
