"""RuntimeInventoryUpdated: the inventory retired a service, or has another number of instances."""

from function_apps.health.model import probe_target
from function_apps.health.ports import HealthApp
from function_apps.health.repository import OBJECTIVES, TARGETS, changed
from shared.contracts.catalog import RuntimeInventoryUpdated, ServiceStatus
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_inventory(
    event: RuntimeInventoryUpdated, ctx: Context, app: HealthApp
) -> Outcome[Json]:
    """Stop probing a service that was retired; expect as many instances as its policy wants."""

    def decide(view: View) -> Decision[Json]:
        known = view.find(TARGETS, event.service_id)
        target = probe_target.record_inventory(
            known, event, tenant_id=ctx.tenant, now=ctx.now(), rules=app.rules.probing
        )
        if target is None:
            return NOTHING
        if event.status is not ServiceStatus.RETIRED:
            return Decision({}, writes=[TARGETS.put(target)])
        objective = view.find(OBJECTIVES, event.service_id)
        return changed(target, objective, "RetireTarget", ctx.now())

    also = [OBJECTIVES.document_id(event.service_id)]
    return await app.service.work.change(ctx, TARGETS, event.service_id, decide, also=also)
