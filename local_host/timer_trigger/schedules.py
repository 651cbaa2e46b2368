"""The schedule of a timer: NCRONTAB with or without seconds, or a fixed interval.

Fields are `{second} {minute} {hour} {day} {month} {day of week}`; five fields have no seconds. A
field is `*`, a number, `a-b`, `*/n`, `a/n`, `a-b/n`, or a list of these; months and days of the
week also by name. Day and day of week must both match, unlike in Unix cron; Sunday is 0, never 7.
The grammar is read here, the calendar is croniter's.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Final, Protocol

from croniter import CroniterBadDateError, croniter

from local_host.apps.timespans import parse_timespan


class ScheduleRefused(ValueError):
    """The text is no schedule of a timer trigger."""


class Schedule(Protocol):
    """A rule of instants."""

    def after(self, instant: datetime) -> datetime | None:
        """Return the first occurrence later than *instant*, both aware UTC; None: never again."""
        ...


@dataclass(frozen=True)
class Interval:
    """Every *length*, counted from whatever came before. Azure takes it on dedicated plans only."""

    length: timedelta

    def after(self, instant: datetime) -> datetime | None:
        return instant + self.length


@dataclass(frozen=True)
class Cron:
    """`expression` has explicit numbers only, seconds first."""

    expression: str
    zone: tzinfo

    @cached_property
    def _dates(self) -> croniter:
        """To read an expression takes longer than to find its next date."""
        return croniter(self.expression, second_at_beginning=True, day_or=False)

    def after(self, instant: datetime) -> datetime | None:
        start = instant.astimezone(self.zone)
        try:
            occurrence: datetime = self._dates.get_next(datetime, start_time=start)
        except CroniterBadDateError:
            return None
        return occurrence.astimezone(UTC)


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_FIELDS: Final = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)
_WITHOUT_SECONDS: Final = len(_FIELDS) - 1
_ELEMENT: Final = re.compile(r"(?P<first>\*|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?")
_OFTEN: Final = timedelta(minutes=1)
_LOOKED_AT: Final = 10
_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
_NAME_MIN: Final = 3


def parse_schedule(text: str, zone: tzinfo = UTC) -> Schedule:
    """Return the schedule that *text* means; its clock times are those of *zone*.

    Raises:
        ScheduleRefused: says which field is wrong and what it takes, or that it never occurs.
    """
    parts = text.split()
    if len(parts) not in (_WITHOUT_SECONDS, len(_FIELDS)):
        return _interval(text)
    if len(parts) == _WITHOUT_SECONDS:
        parts = ["0", *parts]
    numbers = [_numbers(part, field, text) for part, field in zip(parts, _FIELDS, strict=True)]
    schedule = Cron(" ".join(numbers), zone)
    if schedule.after(_SOME_DAY) is None:
        raise ScheduleRefused(f"schedule {text!r} never occurs: no date fits all its fields")
    return schedule


def _interval(text: str) -> Schedule:
    try:
        length = parse_timespan(text)
    except ValueError as problem:
        raise ScheduleRefused(
            f"schedule {text!r} is neither NCRONTAB (second minute hour day month"
            " day-of-week, such as 0 */5 * * * *) nor an interval (00:05:00)"
        ) from problem
    if length <= timedelta(0):
        raise ScheduleRefused(f"schedule {text!r} is no time: write an interval such as 00:05:00")
    return Interval(length)


def _numbers(part: str, field: _Field, whole: str) -> str:
    if part == "*":
        return part
    numbers: set[int] = set()
    for element in part.split(","):
        match = _ELEMENT.fullmatch(element)
        if match is None or (match["first"] == "*" and match["last"]):
            raise _refused(element, field, whole)
        first = field.low if match["first"] == "*" else _number(match["first"], field, whole)
        last = _number(match["last"], field, whole) if match["last"] else None
        step = int(match["step"] or 1)
        if step == 0:
            raise _refused(element, field, whole)
        if last is None:
            is_single = match["first"] != "*" and match["step"] is None
            last = first if is_single else field.high
        # Turned ranges are put in order, as NCrontab does: 5-1 is 1-5.
        numbers.update(range(min(first, last), max(first, last) + 1, step))
    return ",".join(str(number) for number in sorted(numbers))


def _number(text: str, field: _Field, whole: str) -> int:
    if text.isdigit():
        number = int(text)
        if not field.low <= number <= field.high:
            raise _refused(text, field, whole)
        return number
    if len(text) >= _NAME_MIN:
        for index, name in enumerate(field.names):
            if name.startswith(text.lower()):
                return index + field.low
    raise _refused(text, field, whole)


def _refused(element: str, field: _Field, whole: str) -> ScheduleRefused:
    named = f", names such as {field.names[1][:3].title()}" if field.names else ""
    return ScheduleRefused(
        f"schedule {whole!r}: {element!r} is no {field.name};"
        f" write {field.low}-{field.high}{named}, *, a-b, */n, or a list of these"
    )


def is_often(schedule: Schedule) -> bool:
    """Return whether occurrences lie less than a minute apart; their status is not kept."""
    before = schedule.after(_SOME_DAY)
    for _ in range(_LOOKED_AT):
        following = None if before is None else schedule.after(before)
        if before is None or following is None:
            return False
        if following - before < _OFTEN:
            return True
        before = following
    return False
