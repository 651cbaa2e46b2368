"""Windows of time that begin and end by two cron expressions in a time zone.

It is open where its last beginning came after its last end, as of KEDA's cron scaler. Times are
read off a clock on the wall of that zone: an hour that comes twice in autumn counts twice.
https://keda.sh/docs/latest/scalers/cron/
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import TypeAdapter

from shared.contracts.cron import DAYS, MONTHS, Cron

DAYS_BACK: Final = 366 * 8 + 1
"""The 29th of February comes at the latest after so many days."""
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
    minutes, hours, days, months, weekdays = _fields(cron)
    is_either = not any(field.startswith("*") for field in (cron.split()[2], cron.split()[4]))
    for back in range(DAYS_BACK):
        day = (until - timedelta(days=back)).date()
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month not in months or not (any(fits) if is_either else all(fits)):
            continue
        latest = (until.hour, until.minute) if back == 0 else (23, 59)
        times = [(hour, minute) for hour in hours for minute in minutes if (hour, minute) <= latest]
        if times:
            hour, minute = max(times)
            return datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  of a wall
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
