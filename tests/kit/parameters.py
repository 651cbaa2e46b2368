"""Which parameters of a test run in `make test`, and which in `make long` only."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pytest


def long_but(chosen: Collection[Any], values: Iterable[Any]) -> Sequence[Any]:
    """Return *values* as parameters of a test, all but those in *chosen* marked long."""
    return [pytest.param(each, marks=() if each in chosen else pytest.mark.long) for each in values]
