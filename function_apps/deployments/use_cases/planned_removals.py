"""Says in a plan which modules it would take away."""

from function_apps.deployments.model import neighbours, predecessors
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployments import Deploy, PlannedRemoval
from shared.kernel.context import Context


async def planned_removals(
    command: Deploy, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> tuple[PlannedRemoval, ...]:
    """Return what *command* takes away; a module that is not there is a refusal, and is not one."""
    removals: list[PlannedRemoval] = []
    for module in command.remove:
        if not neighbours.is_there(module, target, target.queue):
            continue
        state = target.module(module)
        known: dict[str, Deployment] = {}
        for by in state.released_in:
            deployment = await app.service.work.find(DEPLOYMENTS, by, ctx.tenant)
            known.update({by: deployment} if deployment else {})
        released = predecessors.module_in_force(target, module, known)
        version = released[1].version if released else None
        removals.append(
            PlannedRemoval(
                module_id=module, release_revision=state.revision or None, version=version
            )
        )
    return tuple(removals)
