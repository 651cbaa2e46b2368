"""The timer that removes the output of removed revisions, once it is past its retention."""

import logging
from datetime import timedelta
from typing import Final

from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.retention import Kept
from shared.kernel.concurrency import isolate
from shared.kernel.errors import Unavailable

REMOVE: Final = "remove_logs"
EVERY: Final = timedelta(days=1)
_log = logging.getLogger(__name__)


async def remove_old_logs(app: DeploymentsApp) -> None:
    """Remove what was stored before the span of the kind result began, of all tenants."""
    until = app.service.clock.now() - app.service.work.retention.span(Kept.RESULT)
    try:
        stored = await app.logs.list_stored("")
    except Unavailable as unknown:
        _log.warning("no log is removed: %s", unknown)
        return
    for blob in stored:
        if blob.stored_at <= until:
            await isolate(app.logs.delete(blob.name), f"{REMOVE}: {blob.name}")
