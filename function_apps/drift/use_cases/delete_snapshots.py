"""Delete the snapshots that are past their retention."""

from typing import Final

from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS, snapshot_partition
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure
from shared.messaging.sweep import LATE, every
from shared.persistence.store import Document
from shared.persistence.tables import delete_all_before

DELETE: Final = "delete_snapshots"


async def delete_old_snapshots(app: DriftApp) -> int:
    """Delete the old snapshots of every environment; return how many."""
    service, deleted = app.service, 0
    now = service.clock.now()
    before = isoformat(now - app.rules.detection.snapshots_kept)
    for document in await every(SCANS.type_name, SCANS.key, service.store):
        count = await service.sweeps.attempt(
            DELETE,
            (document.partition, document.id),
            _delete_before(document, before, app),
            now + app.rules.delete_snapshots_every + LATE,
        )
        deleted += 0 if isinstance(count, Failure) else count
    return deleted


async def _delete_before(document: Document, before: str, app: DriftApp) -> int:
    key = snapshot_partition(document.partition.tenant, str(document.body["environment_id"]))
    return await delete_all_before(app.snapshots, key, before)
