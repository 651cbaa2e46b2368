"""Randomness: the only place that draws it, so that one seed can drive a whole run."""

import os
import random  # noqa: TID251  this is the one place
import secrets  # noqa: TID251  this is the one place
import uuid
from collections import deque
from typing import Final, Protocol

_UUID_BYTES: Final = 16
_DRAWN_BITS: Final = 8 * _UUID_BYTES
_BLOCK_BYTES: Final = 64 * _UUID_BYTES


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
    """The operating system's randomness, drawn in blocks.

    A system call for each id would release the interpreter lock each time, which costs more than
    the id when many requests run.
    """

    def __init__(self) -> None:
        self._drawn: deque[bytes] = deque()

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(bytes=self._draw(), version=4)

    def fraction(self) -> float:
        return random.random()  # noqa: S311  jitter, not a secret

    def bits(self, count: int) -> int:
        if count > _DRAWN_BITS:
            return secrets.randbits(count)
        return int.from_bytes(self._draw(), "big") >> (_DRAWN_BITS - count)

    def _draw(self) -> bytes:
        while True:
            try:
                # Atomic: no two threads are ever given the same bytes.
                return self._drawn.popleft()
            except IndexError:
                block = os.urandom(_BLOCK_BYTES)
                starts = range(0, _BLOCK_BYTES, _UUID_BYTES)
                self._drawn.extend(block[at : at + _UUID_BYTES] for at in starts)
