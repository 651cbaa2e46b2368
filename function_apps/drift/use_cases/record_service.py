"""RuntimeInventoryUpdated, HealthCheckCompleted and ScalingPolicyApplied: news of a service."""

from collections.abc import Callable

from function_apps.drift.model.baseline import (
    ServiceBaseline,
    record_health,
    record_inventory,
    record_scaling,
)
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import BASELINES
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.values import ProjectId
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View

NextBaseline = Callable[[ServiceBaseline | None], ServiceBaseline | None]


async def record_inventory_update(
    event: RuntimeInventoryUpdated, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Compare a service no more that the inventory retired; compare one that was there before."""
    project = None if ctx.cause.project is None else ProjectId(ctx.cause.project)

    def change(known: ServiceBaseline | None) -> ServiceBaseline | None:
        return record_inventory(known, event, project, tenant_id=ctx.tenant, now=ctx.now())

    return await _change(event.service_id, change, ctx, app)


async def record_health_check(
    event: HealthCheckCompleted, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Keep whether a service is healthy; what a gate said of a candidate is about another thing."""
    if event.gate_id is not None:
        return Outcome({})

    def change(known: ServiceBaseline | None) -> ServiceBaseline | None:
        return record_health(known, event.status, event.revision, ctx.now())

    return await _change(event.service_id, change, ctx, app)


async def record_scaling_policy(
    event: ScalingPolicyApplied, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Compare the number of instances no more while a scaling policy has it."""

    def change(known: ServiceBaseline | None) -> ServiceBaseline | None:
        return record_scaling(known, event)

    return await _change(event.service_id, change, ctx, app)


async def _change(
    service_id: str, change: NextBaseline, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    def decide(view: View) -> Decision[Json]:
        after = change(view.find(BASELINES, service_id))
        return NOTHING if after is None else Decision({}, writes=[BASELINES.put(after)])

    return await app.service.work.change(ctx.without_marker(), BASELINES, service_id, decide)
