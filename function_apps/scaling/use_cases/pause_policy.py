"""A pause of a policy: a person holds the number in a direction, for at most a day."""

from function_apps.scaling.model.pause import pause, resume
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, changed, ids_of, known_policy
from shared.contracts.scaling import ScalingPause
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def pause_policy(
    policy_id: str, asked: ScalingPause, ctx: Context, app: ScalingApp
) -> Outcome[Json]:
    """Hold the number, until the time that is given. Raises PolicyNotFound, and as `pause` does."""
    ids = ids_of(policy_id, ctx)

    def decide(view: View) -> Decision[Json]:
        known = known_policy(view, ids)
        after = pause(known, asked, ctx.now())
        return changed(known, after, "PauseScaling", ctx.now(), app, reason=asked.reason)

    return await app.service.work.change(ctx, POLICIES, ids.service_id, decide)


async def resume_policy(
    policy_id: str, reason: str, ctx: Context, app: ScalingApp
) -> Outcome[Json]:
    """Let the policy decide again. Raises PolicyNotFound, TransitionRefused."""
    ids = ids_of(policy_id, ctx)

    def decide(view: View) -> Decision[Json]:
        known = known_policy(view, ids)
        after = resume(known, ctx.now())
        return changed(known, after, "ResumeScaling", ctx.now(), app, reason=reason)

    return await app.service.work.change(ctx, POLICIES, ids.service_id, decide)
