"""RetireService: retire a service of a decommissioned environment."""

from function_apps.catalog.model.service import (
    record_row,
    removal_row,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SERVICES, changed
from shared.contracts.catalog import RetireService
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def retire_service(command: RetireService, ctx: Context, app: CatalogApp) -> Outcome[Json]:
    """Retire a service of a decommissioned environment; an unknown one stays unknown."""
    at = isoformat(command.ended_at)
    row = removal_row(command.cause.kind, command.cause.id, at, ctx.now())

    def decide(view: View) -> Decision[Json]:
        known = view.find(SERVICES, command.service_id)
        if known is None or row.id in view.documents:
            return NOTHING
        return changed(record_row(known, row), command.service_id, "RetireService")

    return await app.service.work.change(ctx, SERVICES, command.service_id, decide, also=[row.id])
