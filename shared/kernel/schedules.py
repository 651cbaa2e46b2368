"""Timer schedules from the periods in a service's rules, so that each period is written once."""

from datetime import timedelta
from typing import Final

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def ncrontab(every: timedelta) -> str:
    """Return the NCRONTAB expression (six fields) of a timer that fires *every* so often.

    Fires at whole multiples of the period, counted from midnight: only a period that divides a
    minute, an hour or a day has an expression.
    https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """
    total_s = int(every.total_seconds())
    assert total_s == every.total_seconds() > 0, every
    if total_s <= _MINUTE_S and _MINUTE_S % total_s == 0:
        return f"*/{total_s} * * * * *" if total_s < _MINUTE_S else "0 * * * * *"
    minutes = total_s // _MINUTE_S
    if total_s <= _HOUR_S and _HOUR_S % total_s == 0 and total_s % _MINUTE_S == 0:
        return f"0 */{minutes} * * * *" if total_s < _HOUR_S else "0 0 * * * *"
    assert _DAY_S % total_s == 0, every
    assert total_s % _HOUR_S == 0, every
    return f"0 0 */{total_s // _HOUR_S} * * *" if total_s < _DAY_S else "0 0 0 * * *"
