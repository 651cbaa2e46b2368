"""NCRONTAB and intervals (protocol page, section 2, Timer)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from local_host.timer_trigger.schedules import ScheduleRefused, is_often, parse_schedule

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def occurrences(text: str, count: int = 3, zone: str = "UTC") -> list[str]:
    schedule = parse_schedule(text, ZoneInfo(zone))
    instant: datetime | None = NEW_YEAR
    found = []
    for _ in range(count):
        assert instant is not None
        instant = schedule.after(instant)
        assert instant is not None
        found.append(instant.strftime("%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 */5 * * * *", ["01-01 00:05:00", "01-01 00:10:00", "01-01 00:15:00"]),
        ("*/20 * * * * *", ["01-01 00:00:20", "01-01 00:00:40", "01-01 00:01:00"]),
        ("5 * * * *", ["01-01 00:05:00", "01-01 01:05:00", "01-01 02:05:00"]),
        ("0 30 9 * * Mon-Fri", ["01-01 09:30:00", "01-02 09:30:00", "01-05 09:30:00"]),
        ("0 0 0 5/10 * *", ["01-05 00:00:00", "01-15 00:00:00", "01-25 00:00:00"]),
        ("0 10-50/20 3 * * *", ["01-01 03:10:00", "01-01 03:30:00", "01-01 03:50:00"]),
        ("0 0 0 1 jan,March *", ["03-01 00:00:00", "01-01 00:00:00", "03-01 00:00:00"]),
        ("0 0 0 * * 0", ["01-04 00:00:00", "01-11 00:00:00", "01-18 00:00:00"]),
        ("0 0 0 * * 3-1", ["01-05 00:00:00", "01-06 00:00:00", "01-07 00:00:00"]),
        ("00:00:30", ["01-01 00:00:30", "01-01 00:01:00", "01-01 00:01:30"]),
        ("1.00:00:00", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00"]),
    ],
)
def test_a_schedule_occurs_when_azure_says(text: str, expected: list[str]) -> None:
    assert occurrences(text) == expected


def test_clock_times_are_those_of_the_zone() -> None:
    assert occurrences("0 0 9 * * *", 1, "Europe/Berlin") == ["01-01 08:00:00"]
    summer = parse_schedule("0 0 9 * * *", ZoneInfo("Europe/Berlin"))
    assert summer.after(datetime(2026, 7, 1, tzinfo=UTC)) == datetime(2026, 7, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 0 * * 7", "'7' is no day of week; write 0-6"),
        ("0 0 24 * * *", "'24' is no hour; write 0-23"),
        ("0 0 0 0 * *", "'0' is no day; write 1-31"),
        ("0 0 0 L * *", "'L' is no day"),
        ("0 0 0 ? * *", "'\\?' is no day"),
        ("0 0 0 15W * *", "'15W' is no day"),
        ("0 0 0 * * 1#2", "'1#2' is no day of week"),
        ("0 0 0 * Ja *", "'Ja' is no month"),
        ("0 */0 * * * *", "no minute"),
        ("0 *-5 * * * *", "no minute"),
        ("0 0 0 31 2 *", "never occurs"),
        ("@hourly", "neither NCRONTAB"),
        ("25:00:00", "neither NCRONTAB"),
        ("00:00:00", "is no time"),
        ("* * * *", "neither NCRONTAB"),
    ],
)
def test_what_is_no_schedule_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ScheduleRefused, match=said):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "often"),
    [
        ("*/10 * * * * *", True),
        ("0 * * * * *", False),
        ("0,30 0 12 * * *", True),
        ("00:00:59", True),
        ("00:01:00", False),
    ],
)
def test_more_than_once_a_minute_is_often(text: str, often: bool) -> None:  # noqa: FBT001
    assert is_often(parse_schedule(text)) is often
