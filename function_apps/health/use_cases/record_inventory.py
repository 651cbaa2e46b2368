"""RuntimeInventoryUpdated: the inventory has another view of a service."""

from function_apps.health import repository
from function_apps.health.model.probe_target import ProbeTarget, track_inventory
from function_apps.health.ports import HealthApp
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome


async def record_inventory(
    event: RuntimeInventoryUpdated, ctx: Context, app: HealthApp
) -> Outcome[Json]:
    """Stop probing a service that the inventory retired, for example with its environment."""

    def change(known: ProbeTarget | None) -> ProbeTarget | None:
        return track_inventory(known, event, tenant_id=ctx.tenant, now=ctx.now())

    return await repository.commit_target(event.service_id, ctx, app, change, action="RetireTarget")
