"""How long a service asks its callers to wait."""

from typing import Any, Final

from shared.kernel.foreign_numbers import finite_number

WAIT_MAX_S: Final = 60.0
"""Whoever waits looks again after that, whatever a service, or something before it, has asked."""


def retry_after_s(asked: Any, otherwise_s: float = 1.0, *, per_s: int = 1) -> float:
    """Return the seconds that *asked*, a number or its text, means, of *per_s* a second: 0 to 60.

    *otherwise_s* where it is none: absent, or a date, which these services do not send.
    """
    wait = finite_number(asked)
    return otherwise_s if wait is None else min(max(wait / per_s, 0.0), WAIT_MAX_S)
