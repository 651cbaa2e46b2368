"""G13 in small: both environments are filled, scanned and listed whole."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import g13_large_environment as g13

pytestmark = pytest.mark.long


def test_each_round_has_what_is_judged(tmp_path: Path) -> None:
    rounds = asyncio.run(g13.figures(tmp_path, 40))

    assert len(rounds) == g13.ROUNDS
    assert all({*g13.LIMITS} < {*each} for each in rounds)
