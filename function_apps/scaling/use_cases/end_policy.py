"""The end of a policy: it is deleted, or its service is gone; the number stays as it is."""

from dataclasses import replace

from function_apps.scaling.model.left_replicas import forget_number, words_of_end
from function_apps.scaling.model.policy import Ended, evolve
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, SERVICES, changed, ids_of, known_policy
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def delete_policy(policy_id: str, ctx: Context, app: ScalingApp) -> Outcome[Json]:
    """End a policy: the number stays, and deployments owns it again.

    The reason of the answer says how many stay, and what the next release brings.

    Raises:
        PolicyNotFound.
    """
    ids = ids_of(policy_id, ctx)

    def decide(view: View) -> Decision[Json]:
        known = known_policy(view, ids)
        ended, service = evolve(known, Ended, ctx.now()), view.find(SERVICES, ids.service_id)
        if service is not None:
            ended = forget_number(ended, service)
        after = replace(ended, why=words_of_end(ended, service))
        return changed(known, after, "DeleteScalingPolicy", ctx.now(), app)

    service = SERVICES.document_id(ids.service_id)
    return await app.service.work.change(ctx, POLICIES, ids.service_id, decide, also=[service])
