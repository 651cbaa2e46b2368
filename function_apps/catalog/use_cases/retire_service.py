"""RetireService: retire a service of a decommissioned environment."""

from function_apps.catalog.model.service import (
    RuntimeService,
    ServiceChange,
    record_row,
    removal_row,
)
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import commit
from shared.contracts.catalog import RetireService
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome


async def retire_service(command: RetireService, ctx: Context, app: CatalogApp) -> Outcome[Json]:
    """Retire a service of a decommissioned environment; an unknown one stays unknown."""
    at = isoformat(command.ended_at)
    row = removal_row(command.cause.kind, command.cause.id, at, ctx.now())

    def decide(known: RuntimeService | None) -> ServiceChange | None:
        return None if known is None else record_row(known, row)

    return await commit(command.service_id, ctx, app, decide, action="RetireService", row_id=row.id)
