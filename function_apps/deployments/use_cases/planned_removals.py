"""Says in a plan which modules it would take away."""

from function_apps.deployments.model import neighbours, predecessors
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployment_plans import PlannedRemoval
from shared.contracts.deployments import Deploy
from shared.contracts.values import ModuleId, Version
from shared.kernel.context import Context


async def planned_removals(
    command: Deploy, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> tuple[PlannedRemoval, ...]:
    """Return what *command* takes away; a module that is not there is a refusal, and is not one."""
    removals: list[PlannedRemoval] = []
    for module in command.remove:
        if not neighbours.is_there(module, target, target.queue):
            continue
        revision = target.module(module).revision or None
        version = await version_in_force(module, target, ctx, app)
        removals.append(
            PlannedRemoval(module_id=module, release_revision=revision, version=version)
        )
    return tuple(removals)


async def version_in_force(
    module: ModuleId, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> Version | None:
    """Return the version of *module* in force; None where none is, or where it is not known."""
    known: dict[str, Deployment] = {}
    for by in target.module(module).released_in:
        deployment = await app.service.work.find(DEPLOYMENTS, by, ctx.tenant)
        known.update({by: deployment} if deployment else {})
    released = predecessors.module_in_force(target, module, known)
    return released[1].version if released else None
