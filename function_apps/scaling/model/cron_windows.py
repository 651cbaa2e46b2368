"""Windows of time that begin and end by two cron expressions in a time zone.

It is open where its last beginning came after its last end, as of KEDA's cron scaler. Times are
read off a clock on the wall of that zone: an hour that comes twice in autumn counts twice.
https://keda.sh/docs/latest/scalers/cron/
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import TypeAdapter

from shared.contracts.cron import DAYS, MONTHS, Cron

MONTHS_BACK: Final = 12 * 8
"""The 29th of February comes at the latest after so many months."""
_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES: Final[Sequence[Sequence[str]]] = ((), (), (), MONTHS, DAYS)
_CRON: Final[TypeAdapter[str]] = TypeAdapter(Cron)


def is_open(start: str, end: str, zone: str, now: datetime) -> bool:
    """Return whether the window from *start* to *end* is open at *now*."""
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, second=0, microsecond=0)
    began, ended = last_time(start, local), last_time(end, local)
    return began is not None and (ended is None or ended < began)


def check_cron(text: str) -> None:
    """Refuse what is no cron expression. Raises ValueError."""
    _CRON.validate_python(text)


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def last_time(cron: str, until: datetime) -> datetime | None:
    """Return the last time of *cron* that is not after *until*; None if there was none for years.

    Where both fields of days are limited, a day that fits one of them is meant.
    """
    minutes, hours, *_ = _fields(cron)
    day, today = _last_day(cron, until.date()), until.date()
    if day == today:
        now = [minute for minute in minutes if minute <= until.minute]
        if now and until.hour in hours:
            return _at(day, until.hour, max(now))
        if earlier := [hour for hour in hours if hour < until.hour]:
            return _at(day, max(earlier), max(minutes))
        day = _last_day(cron, today - timedelta(days=1))
    return None if day is None else _at(day, max(hours), max(minutes))


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  of a wall


@lru_cache(maxsize=1024)
def _last_day(cron: str, until: date) -> date | None:
    """Return the last day of *cron* that is not after *until*; None if there was none for years.

    Months are passed over whole: an expression may name a day that never comes.
    """
    _, _, days, months, weekdays = _fields(cron)
    is_either = not any(field.startswith("*") for field in (cron.split()[2], cron.split()[4]))
    for back in range(MONTHS_BACK + 1):
        year, month = divmod(until.year * 12 + until.month - 1 - back, 12)
        if month + 1 not in months:
            continue
        last = until.day if back == 0 else monthrange(year, month + 1)[1]
        for number in range(last, 0, -1):
            day = date(year, month + 1, number)
            fits = (number in days, day.isoweekday() % 7 in weekdays)
            if any(fits) if is_either else all(fits):
                return day
    return None


@lru_cache(maxsize=256)
def _fields(cron: str) -> tuple[frozenset[int], ...]:
    parts = cron.split()
    return tuple(
        frozenset(value for part in field.split(",") for value in _values(part, bounds, names))
        for field, bounds, names in zip(parts, _RANGES, _NAMES, strict=True)
    )


def _values(part: str, bounds: tuple[int, int], names: Sequence[str]) -> range:
    """Return the values of one part of a field, `*`, `3`, `1-5` or one with a step."""
    span, _, step = part.partition("/")
    first, _, last = span.partition("-")
    if span == "*":
        low, high = bounds
    else:
        low = _number(first, names)
        # `3/5` is `3-59/5` in cron.
        high = _number(last, names) if last else bounds[1] if step else low
    return range(low, high + 1, int(step or 1))


def _number(word: str, names: Sequence[str]) -> int:
    return names.index(word) + (names is MONTHS) if word in names else int(word)
