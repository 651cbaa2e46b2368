"""Compares the clock of a provider with ours.

A provider an hour ahead answers for the last minute with what it measured an hour ago.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from shared.kernel.errors import Unavailable

SKEW_MAX_S: Final = 10.0
"""More than clocks that are kept in step differ, and than a `Date` without fractions hides."""


def check_clock(date: str | None, sent_at: datetime, received_at: datetime) -> None:
    """Compare the header `Date` (RFC 9110, 6.6.1) of an answer with when we asked for it.

    An answer without one is believed: its sender says that it has no clock.

    Raises:
        Unavailable: the clocks differ by more than `SKEW_MAX_S`.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
        behind_s = (sent_at - theirs).total_seconds()
        ahead_s = (theirs - received_at).total_seconds()
    except (TypeError, ValueError, OverflowError):  # of a year with twenty digits, say
        return
    if behind_s > SKEW_MAX_S:
        raise Unavailable(f"its clock is {behind_s:.0f} s behind ours")
    if ahead_s > SKEW_MAX_S:
        raise Unavailable(f"its clock is {ahead_s:.0f} s ahead of ours")
