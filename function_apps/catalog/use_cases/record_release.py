"""RecordRelease: record what a deployment left of one service."""

from function_apps.catalog.model.service import (
    RuntimeService,
    ServiceChange,
    new_service,
    record_row,
    release_row,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import commit
from shared.contracts.catalog import RecordRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id, service_id
from shared.messaging.unit_of_work import Json, Outcome


async def record_release(command: RecordRelease, ctx: Context, app: CatalogApp) -> Outcome[Json]:
    """Record the release that a deployment left of one service; an older one is history only."""
    key = parse_id(command.environment_id, "env").environment
    identity = service_id(key, module_key(ctx.tenant, ModuleId(command.module_id)))
    row = release_row(command, ctx.now())

    def decide(known: RuntimeService | None) -> ServiceChange:
        fresh = new_service(command, service_id=identity, tenant_id=ctx.tenant)
        return record_row(known or fresh, row)

    return await commit(identity, ctx, app, decide, action="RecordRelease", row_id=row.id)
