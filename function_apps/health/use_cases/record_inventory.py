"""RuntimeInventoryUpdated: a service that the inventory retired is no longer probed."""

from function_apps.health.model.probe_target import retire_target
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS, changed
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def record_inventory(
    event: RuntimeInventoryUpdated, ctx: Context, app: HealthApp
) -> Outcome[Json]:
    """Stop probing a service that the inventory retired, for example with its environment."""

    def decide(view: View) -> Decision[Json]:
        known = view.find(TARGETS, event.service_id)
        target = retire_target(known, event, tenant_id=ctx.tenant, now=ctx.now())
        objective = view.find(OBJECTIVES, event.service_id)
        return changed(target, objective, "RetireTarget", ctx.now())

    also = [OBJECTIVES.document_id(event.service_id)]
    return await app.service.work.change(ctx, TARGETS, event.service_id, decide, also=also)
