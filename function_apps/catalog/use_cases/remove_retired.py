"""The timer that removes services which were retired long ago, with their history."""

import logging
from typing import Final

from function_apps.catalog.model.service import RuntimeService
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import HISTORY, SERVICES
from shared.contracts.catalog import ServiceStatus
from shared.contracts.retention import Kept
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import isolate
from shared.kernel.errors import Unavailable
from shared.messaging.removal import every_document, remove
from shared.persistence.store import BATCH_MAX_OPERATIONS, Comparison, Document, Query, Where, pages

REMOVE: Final = "remove_retired"
_RETIRED: Final = Where("status", Comparison.EQ, ServiceStatus.RETIRED.value)
_PAGE_MAX: Final = BATCH_MAX_OPERATIONS - 1
"""Of rows, with room for their service."""
_log = logging.getLogger(__name__)


async def remove_retired_services(app: CatalogApp) -> None:
    """Remove every service that was retired long ago; the next run continues one that is killed."""
    service = app.service
    before = isoformat(service.clock.now() - service.work.retention.span(Kept.RETIRED))
    retired = every_document(SERVICES, service, _RETIRED, is_whole=False)
    try:
        async for document, known in retired:
            if known.retired_at is not None and known.retired_at <= before:
                what = f"{REMOVE}: {document.partition.values}"
                await isolate(_remove(document, known, app), what)
    except Unavailable as unknown:
        _log.warning("the services that follow are looked at by the next run: %s", unknown)


async def _remove(document: Document, known: RuntimeService, app: CatalogApp) -> None:
    """Remove a service after its history, which nobody finds without it.

    One that is released meanwhile stays, with its history from then on.
    """
    history = Query(
        where=[*HISTORY.conditions, Where("valid_from", Comparison.LE, known.retired_at)]
    )
    rows: list[Document] = []
    async for row in pages(app.service.store, document.partition, history):
        rows.append(row)
        if len(rows) == _PAGE_MAX:
            await remove(rows, app.service)
            rows = []
    await remove([document, *rows], app.service)
