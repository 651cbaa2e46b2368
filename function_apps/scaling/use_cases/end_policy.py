"""The end of a policy: it is deleted, or its service is gone; the number stays as it is."""

from function_apps.scaling.model.policy import Ended, evolve
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, changed, ids_of, known_policy
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def delete_policy(policy_id: str, ctx: Context, app: ScalingApp) -> Outcome[Json]:
    """End a policy: the number stays, and deployments owns it again. Raises PolicyNotFound."""
    ids = ids_of(policy_id, ctx)

    def decide(view: View) -> Decision[Json]:
        known = known_policy(view, ids)
        after = evolve(known, Ended, ctx.now())
        return changed(known, after, "DeleteScalingPolicy", ctx.now(), app)

    return await app.service.work.change(ctx, POLICIES, ids.service_id, decide)
