"""ReleaseHold: let a release unit that was rolled back be deployed again."""

from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.model.holds import release_holds
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from shared.contracts.deployments import DeploymentReason
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def release_hold(
    deployment_id: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Let the unit that a deployment left behind be deployed again.

    Raises:
        NoActiveHold: the deployment has no hold.
    """

    def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment_id)
        released, holds = release_holds(known.deployment, known.target.holds, ctx.now())
        target = replace(known.target, holds=holds)
        return Decision(
            answer(released, target),
            writes=repository.changed(known, DeploymentSet(target, released)),
            audited=Audited("ReleaseHold", deployment_id, "Released", reason=command.reason),
        )

    return await repository.change(deployment_id, ctx, app, decide)
