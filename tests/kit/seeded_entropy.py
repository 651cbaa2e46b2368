"""Entropy that one number determines."""

import random  # noqa: TID251  the runs of tests are drawn here
import uuid


class SeededEntropy:
    """A sequence that *seed* determines: equal seeds, equal runs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def fraction(self) -> float:
        return self._random.random()

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)
