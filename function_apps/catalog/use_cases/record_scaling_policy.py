"""ScalingPolicyApplied: the inventory shows as many instances as a policy wants."""

from function_apps.catalog.model.service import record_scaling
from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.repository import SERVICES, changed
from shared.contracts.scaling import ScalingPolicyApplied
from shared.kernel.context import Context
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_scaling_policy(
    event: ScalingPolicyApplied, ctx: Context, app: CatalogApp
) -> Outcome[Json]:
    """Record the number that the policy of a service wants; of an unknown service nothing."""

    def decide(view: View) -> Decision[Json]:
        known = view.find(SERVICES, event.service_id)
        if known is None:
            return NOTHING
        return changed(record_scaling(known, event), event.service_id, "RecordScaling")

    return await app.service.work.change(ctx.without_marker(), SERVICES, event.service_id, decide)
