"""RuntimeDeploymentCompleted and RolledBack: a deployment has ended."""

from collections.abc import Sequence

from function_apps.catalog.model.environment_scan import reschedule_retirement
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SCANS
from shared.contracts.catalog import RecordRelease
from shared.contracts.deployments import DeploymentEnded
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.fan_out import fan_out_releases
from shared.messaging.unit_of_work import Json, Outcome, View
from shared.persistence.codec import Put


async def record_deployment(event: DeploymentEnded, ctx: Context, app: CatalogApp) -> Outcome[Json]:
    """Split the end of a deployment into one command per service.

    If its generation of the environment is over, the retirement of its services is due again.
    """
    due_at = ctx.now() + app.rules.inventory.stale_after

    def reschedule(view: View) -> Sequence[Put]:
        # One that cannot be read keeps no release out of the inventory.
        scan = view.readable(SCANS, event.environment_id)
        if scan is None or scan.removed_at is None:
            return ()
        if scan.ended_at is None and isoformat(event.ended_at) > scan.removed_at:
            return ()
        return [SCANS.put(reschedule_retirement(scan, due_at))]

    return await fan_out_releases(
        event,
        RecordRelease,
        ctx,
        app.service.work,
        reads=[SCANS.document_id(event.environment_id)],
        writes=reschedule,
    )
