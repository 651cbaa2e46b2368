"""ReleaseHold: let a release unit that was rolled back be deployed again."""

from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.errors import NoActiveHold
from function_apps.deployments.model.deployment import evolve
from function_apps.deployments.model.holds import without_holds_of
from function_apps.deployments.model.lifecycle import HoldReleased
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from shared.contracts.deployments import DeploymentReason
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def release_hold(
    deployment: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Let the unit that *deployment* left behind be deployed again.

    Raises:
        NoActiveHold: the deployment has no hold.
    """

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment)
        if not known.deployment.holds:
            raise NoActiveHold(f"{deployment} holds nothing in {known.target.environment_id}")
        released = evolve(known.deployment, HoldReleased(), ctx.now())
        holds = without_holds_of(known.target.holds, deployment)
        target = replace(known.target, holds=holds)
        return Decision(
            answer(released, target),
            writes=repository.changed(known, DeploymentSet(target, released)),
            audited=Audited("ReleaseHold", deployment, command.reason or "Released"),
        )

    return await repository.change(deployment, ctx, app, decide)
