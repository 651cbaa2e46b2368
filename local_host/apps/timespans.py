""".NET `TimeSpan` text as `host.json`, schedules and retry policies have it."""

import re
from datetime import timedelta
from typing import Final

_SHAPE: Final = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})"
    r"(?::(?P<seconds>\d{1,2})(?:\.(?P<fraction>\d{1,7}))?)?"
)


def parse_timespan(text: str) -> timedelta:
    """Return the duration of `[d.]hh:mm[:ss[.fffffff]]`.

    Raises:
        ValueError: another form, or an hour over 23, a minute or second over 59.
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a time span such as 00:05:00 or 1.00:00:00, got {text!r}")
    hours, minutes, seconds = (int(match[part] or 0) for part in ("hours", "minutes", "seconds"))
    if hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004  the clock's own bounds
        raise ValueError(
            f"expected hours below 24, minutes and seconds below 60, got {text!r};"
            " write days in front: 1.00:00:00"
        )
    span = timedelta(
        days=int(match["days"] or 0),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        microseconds=int((match["fraction"] or "0").ljust(7, "0")) // 10,
    )
    return -span if match["sign"] else span
