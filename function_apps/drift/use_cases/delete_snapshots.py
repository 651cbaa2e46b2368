"""Delete the snapshots that are past their retention."""

from typing import Final

from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS, snapshot_partition
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure
from shared.messaging.sweep import LATE
from shared.persistence.store import Comparison, Document, Query, Where

DELETE: Final = "delete_snapshots"
_PAGE: Final = 100


async def delete_old_snapshots(app: DriftApp) -> int:
    """Delete the old snapshots of every environment; return how many."""
    service, deleted, last = app.service, 0, ""
    now = service.clock.now()
    before = isoformat(now - app.rules.detection.snapshots_kept)
    while True:
        page = await service.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, SCANS.type_name),
                    Where("environment_id", Comparison.GT, last),
                ],
                order_by="environment_id",
                limit=_PAGE,
            )
        )
        for document in page.documents:
            count = await service.sweeps.attempt(
                DELETE,
                (document.partition, document.id),
                _delete_before(document, before, app),
                now + app.rules.delete_snapshots_every + LATE,
            )
            deleted += 0 if isinstance(count, Failure) else count
        if not page.more or not page.documents:
            return deleted
        last = str(page.documents[-1].body["environment_id"])


async def _delete_before(document: Document, before: str, app: DriftApp) -> int:
    key = snapshot_partition(document.partition.tenant, str(document.body["environment_id"]))
    deleted = 0
    while count := await app.snapshots.delete_before(key, before):
        deleted += count
    return deleted
