"""RuntimeInventoryUpdated and HealthCheckCompleted: a service is retired; its error budget goes."""

from function_apps.scaling.model import scaled_service
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import SERVICES
from shared.contracts.catalog import RuntimeInventoryUpdated, ServiceStatus
from shared.contracts.health import HealthCheckCompleted
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_inventory(
    event: RuntimeInventoryUpdated, ctx: Context, app: ScalingApp
) -> Outcome[Json] | None:
    """Remember that a service is gone; its policy ends at the next evaluation."""
    if event.status is not ServiceStatus.RETIRED:
        return None

    def decide(view: View) -> Decision[Json]:
        known = view.find(SERVICES, event.service_id)
        before = known or scaled_service.new_service(
            event.service_id, ctx.tenant, event.environment_id, event.module_id
        )
        after = scaled_service.record_inventory(before, event)
        if after == known:
            return NOTHING
        audited = Audited("RetireService", event.service_id)
        return Decision({}, writes=[SERVICES.put(after)], audited=audited)

    return await app.service.work.change(ctx.without_marker(), SERVICES, event.service_id, decide)


async def record_health(
    event: HealthCheckCompleted, ctx: Context, app: ScalingApp
) -> Outcome[Json] | None:
    """Remember the burn rates of a service; the answer of a gate is for deployments."""
    if event.gate_id is not None:
        return None

    def decide(view: View) -> Decision[Json]:
        known = view.find(SERVICES, event.service_id)
        after = known and scaled_service.record_burn(known, event, ctx.said_at())
        if after is None or after == known:
            return NOTHING
        return Decision({}, writes=[SERVICES.put(after)])

    return await app.service.work.change(ctx.without_marker(), SERVICES, event.service_id, decide)
