"""When two commits, measured in turn, differ."""

from collections.abc import Sequence

import pytest

from benchmarks.pairs import judge


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        pytest.param((1.2,) * 7, True, id="slower-in-every-pair"),
        pytest.param((1.2,) * 6 + (0.9,), True, id="six-of-seven"),
        pytest.param((1.2,) * 5 + (0.9,) * 2, False, id="five-of-seven"),
        pytest.param((1.10,) * 7, False, id="a-tie-with-the-limit-is-not-worse"),
        pytest.param((1.05,) * 7, False, id="a-little-slower"),
        pytest.param((1.0,) * 6 + (9.0,), False, id="one-disturbed-pair"),
        pytest.param((0.5,) * 7, False, id="twice-as-fast"),
    ],
)
def test_a_row_is_worse_only_by_more_than_a_tenth_and_if_the_pairs_agree(
    ratios: Sequence[float],
    expected: bool,  # noqa: FBT001  a column
) -> None:
    assert judge(ratios).is_worse is expected


def test_pairs_agree_that_lie_on_the_side_of_the_median() -> None:
    assert judge((0.8, 0.9, 0.7, 1.3)).agreeing == 3
