"""What makes a simulated hour cheap: timers are rarer, and nothing is collected.

A change feed is told of each change, and rows of an outbox leave with their commit: the polls and
sweeps are for what was left behind. They stay, or what a killed host left would stay, too.
Timers have intervals, since the next date of a calendar takes longer than most of their runs, and
the same routes are not compared at each start.
"""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from unittest.mock import patch

from local_host.cosmos_db import settings as change_feed
from local_host.routing import route_table
from shared.triggers import service_triggers
from tests.kit import world


def _interval(every: timedelta) -> str:
    """Return the schedule of a timer that runs *every* so often after it ran last."""
    minutes, seconds = divmod(every.seconds, 60)
    return f"{every.days}.{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


_RARER = (
    (change_feed, "DEFAULT_POLL_MS", 600_000),
    (service_triggers, "SWEEP_AFTER", timedelta(minutes=1)),
    (service_triggers, "RECOVERY_EVERY", timedelta(minutes=2)),
    (service_triggers, "ncrontab", _interval),
    (route_table, "overlaps", lambda _routes: ()),
    (world, "SELDOM", timedelta(minutes=2)),
)


@contextmanager
def quiet_hours() -> Iterator[None]:
    """Let idle hours cost little while this is entered."""
    with ExitStack() as changed:
        for module, name, value in _RARER:
            changed.enter_context(patch.object(module, name, value))
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
