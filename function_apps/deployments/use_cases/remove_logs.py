"""The timer that removes the output of removed revisions, once it is past its retention."""

import logging
from datetime import timedelta
from typing import Final

from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.retention import Kept
from shared.kernel.concurrency import bounded_map, isolate
from shared.kernel.errors import Unavailable

REMOVE: Final = "remove_logs"
EVERY: Final = timedelta(days=1)
REMOVED_MAX: Final = 50_000
"""In one run, which takes minutes then; the next one goes on."""
_AT_ONCE: Final = 8
_log = logging.getLogger(__name__)


async def remove_old_logs(app: DeploymentsApp, at_most: int = REMOVED_MAX) -> None:
    """Remove what was stored before the span of the kind result began, of all tenants.

    At most *at_most* of it. What cannot be removed is logged, and stops nothing else.
    """
    until = app.service.clock.now() - app.service.work.retention.span(Kept.RESULT)

    async def remove(name: str) -> None:
        await isolate(app.logs.delete(name), f"{REMOVE}: {name}")

    left = at_most
    try:
        async for page in app.logs.pages(""):
            past = [blob.name for blob in page if blob.stored_at <= until]
            await bounded_map(past[:left], remove, at_once=_AT_ONCE)
            left -= len(past)
            if left <= 0:
                _log.info("%d logs are removed; the next run goes on", at_most)
                return
    except Unavailable as unknown:
        _log.warning("no further log is removed: %s", unknown)
