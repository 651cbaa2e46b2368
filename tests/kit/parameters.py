"""How much of a sweep a run takes: which parameters, and how many points."""

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pytest


def long_but(chosen: Collection[Any], values: Iterable[Any]) -> Sequence[Any]:
    """Return *values* as parameters of a test, all but those in *chosen* marked long."""
    return [pytest.param(each, marks=() if each in chosen else pytest.mark.long) for each in values]


def unless_whole(number: int) -> int | None:
    """Return how much a long run takes: *number*, or with SWEEP=all everything."""
    return None if os.environ.get("SWEEP") == "all" else number
