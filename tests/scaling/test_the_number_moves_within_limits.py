"""Stabilisation and rates: the examples of Kubernetes' documentation of `behavior`."""

from datetime import UTC, datetime, timedelta

import pytest

from function_apps.scaling.model.limits import highest, lowest, stabilised
from function_apps.scaling.model.policy import ReplicaChange
from shared.contracts.scaling import RateLimit, RateLimits, RateUnit
from shared.kernel.clock import isoformat

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DOWN = (
    RateLimit(unit=RateUnit.INSTANCES, value=4, period=MINUTE),
    RateLimit(unit=RateUnit.PERCENT, value=10, period=MINUTE),
)
"""The documentation's example: 4 pods or 10 percent a minute, whichever is more."""


def changes(*each: tuple[int, int]) -> tuple[ReplicaChange, ...]:
    return tuple(ReplicaChange(isoformat(NOW - timedelta(seconds=ago)), by) for ago, by in each)


@pytest.mark.parametrize(
    ("current", "least"),
    [
        pytest.param(80, 72, id="of-80-eight-are-stopped"),
        pytest.param(72, 64, id="of-72-eight-are-stopped-as-7.2-is-rounded-up"),
        pytest.param(40, 36, id="of-40-both-allow-four"),
        pytest.param(30, 26, id="of-30-four-are-more-than-ten-percent"),
        pytest.param(3, 0, id="never-below-none"),
    ],
)
def test_down_by_the_rate_that_allows_most(current: int, least: int) -> None:
    assert lowest(current, DOWN, (), NOW) == least


def test_what_was_stopped_in_the_period_counts() -> None:
    assert lowest(76, DOWN, changes((30, -4)), NOW) == 72
    assert lowest(72, DOWN, changes((30, -8)), NOW) == 72
    assert lowest(72, DOWN, changes((61, -8)), NOW) == 64


def test_up_by_default_doubles_or_adds_four_in_a_quarter_of_a_minute() -> None:
    up = RateLimits().up

    assert highest(1, up, (), NOW) == 5
    assert highest(10, up, (), NOW) == 20
    assert highest(20, up, changes((10, 10)), NOW) == 20
    assert highest(20, up, changes((16, 10)), NOW) == 40


def test_no_rate_limits_nothing() -> None:
    assert highest(1, (), (), NOW) is None
    assert lowest(50, (), (), NOW) == 0


def test_a_share_of_the_number_is_rounded_up_on_the_way_up() -> None:
    tenth = (RateLimit(unit=RateUnit.PERCENT, value=10, period=MINUTE),)

    assert highest(15, tenth, (), NOW) == 17


def test_down_only_to_the_highest_number_that_was_wanted_in_the_window() -> None:
    assert stabilised(2, 10, [7, 4]) == 7
    assert stabilised(2, 10, []) == 2
    assert stabilised(2, 5, [9]) == 5


def test_up_at_once() -> None:
    assert stabilised(9, 5, [2, 2]) == 9
