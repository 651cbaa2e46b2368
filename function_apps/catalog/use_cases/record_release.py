"""RecordRelease: record what a deployment left of one service."""

from function_apps.catalog.model.service import (
    new_service,
    record_row,
    release_row,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SERVICES, changed
from shared.contracts.catalog import RecordRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id
from shared.kernel.ids import service_id as service_id_of
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_release(command: RecordRelease, ctx: Context, app: CatalogApp) -> Outcome[Json]:
    """Record the release that a deployment left of one service; an older one is history only."""
    key = parse_id(command.environment_id, "env").environment
    service_id = service_id_of(key, module_key(ctx.tenant, ModuleId(command.module_id)))
    row = release_row(command, ctx.now())

    def decide(view: View) -> Decision[Json]:
        # A stored row was committed with all its consequences: another message of it says no more.
        if row.id in view.documents:
            return NOTHING
        known = view.find(SERVICES, service_id)
        fresh = new_service(command, service_id=service_id, tenant_id=ctx.tenant)
        return changed(record_row(known or fresh, row), service_id, "RecordRelease")

    return await app.service.work.change(ctx, SERVICES, service_id, decide, also=[row.id])
