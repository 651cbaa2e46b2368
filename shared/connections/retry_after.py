"""How long a service asks its callers to wait."""

import math
from typing import Any, Final

WAIT_MAX_S: Final = 60.0
"""Whoever waits looks again after that, whatever a service, or something before it, has asked."""


def retry_after_s(asked: Any, otherwise_s: float = 1.0, *, per_s: int = 1) -> float:
    """Return the seconds that *asked*, a number or its text, means, of *per_s* a second: 0 to 60.

    *otherwise_s* where it is none: absent, or a date, which these services do not send.
    """
    try:
        wait_s = float(asked) / per_s
    except (TypeError, ValueError):
        return otherwise_s
    return min(max(wait_s, 0.0), WAIT_MAX_S) if math.isfinite(wait_s) else otherwise_s
