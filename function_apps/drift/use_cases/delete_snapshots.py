"""Delete the snapshots that are past their retention."""

from typing import Final

from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS, snapshot_partition
from shared.kernel.clock import isoformat
from shared.messaging.sweep import LATE, every
from shared.persistence.store import Document
from shared.persistence.tables import delete_all_before

DELETE: Final = "delete_snapshots"


async def delete_old_snapshots(app: DriftApp) -> int:
    """Delete the old snapshots of every environment; return how many."""
    service, now = app.service, app.service.clock.now()
    before = isoformat(now - app.rules.detection.snapshots_kept)

    async def delete(scan: Document) -> int:
        key = snapshot_partition(scan.partition.tenant, str(scan.body["environment_id"]))
        return await delete_all_before(app.snapshots, key, before)

    scans = await every(SCANS.type_name, SCANS.key, service.store)
    until = now + app.rules.delete_snapshots_every + LATE
    return await service.sweeps.attempt_each(DELETE, scans, delete, until)
