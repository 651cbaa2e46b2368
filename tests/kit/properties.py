"""Properties that are tried with few examples in `make test` and with many in `make long`."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from tests.kit.parameters import unless_whole

FEW_AND_MANY: Final = pytest.mark.parametrize(
    "examples",
    [
        pytest.param(50, id="few"),
        pytest.param(unless_whole(150) or 500, marks=pytest.mark.long, id="many"),
    ],
)
"""For properties whose examples take more than a few milliseconds."""


def try_with(examples: int, holds: Callable[..., None], *drawn: SearchStrategy[Any]) -> None:
    """Call *holds* with what is *drawn*, as often as there are *examples*."""
    settings(max_examples=examples)(given(*drawn)(holds))()
