"""Windows of a schedule: two cron expressions on a clock on the wall of a time zone."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from function_apps.scaling.model.cron_windows import is_open, last_time

WEEKDAYS = ("0 8 * * mon-fri", "0 18 * * mon-fri")
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("now", "opened"),
    [
        pytest.param(datetime(2026, 11, 30, 6, 59, tzinfo=UTC), False, id="before-it-begins"),
        pytest.param(datetime(2026, 11, 30, 7, 0, tzinfo=UTC), True, id="winter-time-begins"),
        pytest.param(datetime(2026, 11, 30, 16, 59, tzinfo=UTC), True, id="before-it-ends"),
        pytest.param(datetime(2026, 11, 30, 17, 0, tzinfo=UTC), False, id="it-ends"),
        pytest.param(datetime(2026, 7, 1, 6, 30, tzinfo=UTC), True, id="summer-time-is-earlier"),
        pytest.param(datetime(2026, 11, 29, 12, 0, tzinfo=UTC), False, id="sunday"),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_zone(now: datetime, *, opened: bool) -> None:
    assert is_open(*WEEKDAYS, BERLIN, now) is opened


def test_a_window_goes_over_midnight() -> None:
    night = ("0 22 * * *", "0 6 * * *")

    assert is_open(*night, "UTC", datetime(2026, 1, 1, 23, tzinfo=UTC))
    assert is_open(*night, "UTC", datetime(2026, 1, 1, 5, 59, tzinfo=UTC))
    assert not is_open(*night, "UTC", datetime(2026, 1, 1, 6, tzinfo=UTC))


def test_the_hour_that_comes_twice_in_autumn_is_in_the_window_twice() -> None:
    at_two = ("0 2 * * *", "0 3 * * *")
    both = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]

    assert [is_open(*at_two, BERLIN, now) for now in both] == [True, True]
    assert not is_open(*at_two, BERLIN, datetime(2026, 10, 25, 2, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("cron", "last"),
    [
        pytest.param("*/15 * * * *", "2026-11-29T12:30", id="step"),
        pytest.param("5,50 9-11 * * *", "2026-11-29T11:50", id="list-and-range"),
        pytest.param("0 0 29 feb *", "2024-02-29T00:00", id="a-leap-day"),
        pytest.param("0 9 1 * mon", "2026-11-23T09:00", id="one-of-two-fields-of-days"),
        pytest.param("0 0 30 feb *", None, id="never"),
        pytest.param("10/20 12 * * *", "2026-11-29T12:30", id="a-step-from-a-number"),
    ],
)  # fmt: skip
def test_the_last_time_of_an_expression(cron: str, last: str | None) -> None:
    until = datetime.fromisoformat("2026-11-29T12:34")

    found = last_time(cron, until)

    assert found == (last and datetime.fromisoformat(last))


@pytest.mark.parametrize(
    "cron", ["*/7 3,15 * * *", "59 23 31 * *", "0 0 1-7 */3 mon", "30 12 * feb sun", "5 0 29 2 *"]
)
def test_the_last_time_is_the_same_at_each_minute_until_the_next(cron: str) -> None:
    """From one time of the expression on nothing changes until another one comes."""
    at, before = datetime.fromisoformat("2026-11-27T00:00"), None
    for _ in range(4 * 24 * 60):
        at += timedelta(minutes=1)
        found = last_time(cron, at)
        assert found is not None
        assert found <= at
        assert before is None or found in (before, at)
        assert last_time(cron, found) == found
        before = found


def test_days_that_never_come_are_looked_for_by_month() -> None:
    began_s = process_time()
    at = datetime.fromisoformat("2026-11-29T12:34")

    found = [last_time("0 0 30 feb *", at + timedelta(days=day)) for day in range(1000)]

    assert set(found) == {None}
    assert process_time() - began_s < 1.5
