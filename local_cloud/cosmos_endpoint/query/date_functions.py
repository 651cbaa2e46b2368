"""The date and time functions, over ticks of 100 ns.

A date is text of the form `YYYY-MM-DDThh:mm:ss.fffffffZ`, always UTC; what is none makes the
result undefined. https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions
"""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from local_cloud.cosmos_endpoint.query.signatures import Function
from local_cloud.cosmos_endpoint.query.values import UNDEFINED, whole

_SECOND: Final = 10_000_000
_DAY: Final = 86_400 * _SECOND
_EPOCH: Final = date(1970, 1, 1).toordinal() * _DAY
_BINS_FROM: Final = date(1601, 1, 1).toordinal() * _DAY
_MILLISECOND: Final = 10_000
_PARTS: Final[Mapping[str, str]] = {
    name: names[0]
    for names in (
        ("year", "yyyy", "yy"), ("month", "mm", "m"), ("day", "dd", "d"), ("hour", "hh"),
        ("minute", "mi", "n"), ("second", "ss", "s"), ("millisecond", "ms"),
        ("microsecond", "mcs"), ("nanosecond", "ns"),
    )
    for name in names
}  # fmt: skip
_TICKS: Final[Mapping[str, float]] = {
    "day": _DAY, "hour": 3600 * _SECOND, "minute": 60 * _SECOND, "second": _SECOND,
    "millisecond": _MILLISECOND, "microsecond": 10, "nanosecond": 0.01,
}  # fmt: skip
_FORM: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?Z?", re.ASCII
)
_MONTHS: Final = 12
_YEAR_MAX: Final = 9999


def ticks_of(text: object) -> int | None:
    """Return the ticks of a date since year 1, None when *text* is none."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction = int((match[7] or "").ljust(7, "0"))
    return _joined(year, month, day, hour, minute, second, fraction)


def _joined(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, ticks: int = 0
) -> int | None:
    is_time = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60  # noqa: PLR2004  a clock's
    if not is_time or not 0 <= ticks < _SECOND:
        return None
    try:
        days = date(year, month, day).toordinal()
    except (ValueError, OverflowError):
        return None
    return days * _DAY + (hour * 3600 + minute * 60 + second) * _SECOND + ticks


def date_text(ticks: int) -> Any:
    """Return *ticks* since year 1 as a date; UNDEFINED outside of the years 1 to 9999."""
    days, rest = divmod(ticks, _DAY)
    try:
        day = date.fromordinal(days)
    except (ValueError, OverflowError):
        return UNDEFINED
    seconds, fraction = divmod(rest, _SECOND)
    time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{day.isoformat()}T{time}.{fraction:07}Z"


def since_epoch(ticks: int) -> int:
    """Return *ticks* since year 1 as ticks since 1970, as the language counts them."""
    return ticks - _EPOCH


def _part(name: Any) -> str | None:
    return _PARTS.get(name.lower()) if isinstance(name, str) else None


def _added(part: Any, count: Any, text: Any) -> Any:
    unit, number, ticks = _part(part), whole(count), ticks_of(text)
    if unit is None or number is None or ticks is None:
        return UNDEFINED
    if unit in _TICKS:
        return date_text(ticks + int(number * _TICKS[unit]))
    day = date.fromordinal(ticks // _DAY)
    months = day.year * _MONTHS + day.month - 1 + number * (_MONTHS if unit == "year" else 1)
    year, month = months // _MONTHS, months % _MONTHS + 1
    if not 1 <= year <= _YEAR_MAX:
        return UNDEFINED
    last = monthrange(year, month)[1]
    moved = date(year, month, min(day.day, last)).toordinal() * _DAY
    return date_text(moved + ticks % _DAY)


def _difference(part: Any, start: Any, end: Any) -> Any:
    """Return how many boundaries of *part* lie between two dates."""
    unit, first, last = _part(part), ticks_of(start), ticks_of(end)
    if unit is None or first is None or last is None:
        return UNDEFINED
    if unit == "nanosecond":
        return (last - first) * 100
    if unit in _TICKS:
        size = int(_TICKS[unit])
        return last // size - first // size
    from_day, to_day = date.fromordinal(first // _DAY), date.fromordinal(last // _DAY)
    years = to_day.year - from_day.year
    return years if unit == "year" else years * _MONTHS + to_day.month - from_day.month


def _binned(
    text: Any, part: Any, size: Any = 1, start: Any = "1970-01-01T00:00:00.0000000Z"
) -> Any:
    ticks, unit, count, origin = ticks_of(text), _part(part), whole(size), ticks_of(start)
    if ticks is None or count is None or count < 1 or origin is None or origin < _BINS_FROM:
        return UNDEFINED
    if unit is None or unit not in _TICKS:
        return UNDEFINED
    bin_size = max(int(count * _TICKS[unit]), 1)
    return date_text(origin + (ticks - origin) // bin_size * bin_size)


def _from_parts(*parts: Any) -> Any:
    numbers = [whole(part) for part in parts]
    if any(part is None for part in numbers):
        return UNDEFINED
    ticks = _joined(*(part for part in numbers if part is not None))
    return UNDEFINED if ticks is None else date_text(ticks)


def _part_of(part: Any, text: Any) -> Any:
    unit, ticks = _part(part), ticks_of(text)
    if unit is None or ticks is None:
        return UNDEFINED
    day, rest = date.fromordinal(ticks // _DAY), ticks % _DAY
    fraction = rest % _SECOND
    return {
        "year": day.year, "month": day.month, "day": day.day, "hour": rest // (3600 * _SECOND),
        "minute": rest // (60 * _SECOND) % 60, "second": rest // _SECOND % 60,
        "millisecond": fraction // _MILLISECOND, "microsecond": fraction // 10,
        "nanosecond": fraction * 100,
    }[unit]  # fmt: skip


def _of_date(change: Callable[[int], Any]) -> Function:
    def apply(text: Any) -> Any:
        ticks = ticks_of(text)
        return UNDEFINED if ticks is None else change(ticks)

    return Function(1, 1, apply)


def _to_date(ticks_each: int) -> Function:
    def apply(value: Any) -> Any:
        count = whole(value)
        return UNDEFINED if count is None else date_text(_EPOCH + count * ticks_each)

    return Function(1, 1, apply)


DATE_FUNCTIONS: Final[Mapping[str, Function]] = {
    "DATETIMEADD": Function(3, 3, _added),
    "DATETIMEBIN": Function(2, 4, _binned),
    "DATETIMEDIFF": Function(3, 3, _difference),
    "DATETIMEFROMPARTS": Function(3, 7, _from_parts),
    "DATETIMEPART": Function(2, 2, _part_of),
    "DATETIMETOTICKS": _of_date(since_epoch),
    "DATETIMETOTIMESTAMP": _of_date(lambda ticks: since_epoch(ticks) // _MILLISECOND),
    "DAY": _of_date(lambda ticks: date.fromordinal(ticks // _DAY).day),
    "MONTH": _of_date(lambda ticks: date.fromordinal(ticks // _DAY).month),
    "TICKSTODATETIME": _to_date(1),
    "TIMESTAMPTODATETIME": _to_date(_MILLISECOND),
    "YEAR": _of_date(lambda ticks: date.fromordinal(ticks // _DAY).year),
}
