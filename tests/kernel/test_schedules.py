"""A period becomes a schedule that fires exactly so often."""

from datetime import timedelta

import pytest

from local_host.timer_trigger.schedules import parse_schedule
from shared.kernel.schedules import ncrontab
from tests.kit.virtual_time import EPOCH

PERIODS = [
    timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=5), timedelta(seconds=30),
    timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=1),
    timedelta(hours=6), timedelta(days=1),
]  # fmt: skip


@pytest.mark.parametrize("every", PERIODS, ids=str)
def test_a_schedule_fires_exactly_every_period(every: timedelta) -> None:
    schedule, at = parse_schedule(ncrontab(every)), EPOCH
    for number in range(1, 50):
        following = schedule.after(at)
        assert following == EPOCH + every * number
        at = following


@pytest.mark.parametrize(
    "every",
    [
        timedelta(seconds=7), timedelta(seconds=90), timedelta(minutes=7), timedelta(hours=5),
        timedelta(days=2), timedelta(milliseconds=500), timedelta(0),
    ],
    ids=str,
)  # fmt: skip
def test_a_period_that_divides_nothing_has_no_schedule(every: timedelta) -> None:
    with pytest.raises(AssertionError):
        ncrontab(every)
