"""Says in a plan which modules it would take away."""

from function_apps.deployments.model import neighbours
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.components_in_force import components_in_force
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
    released = await components_in_force([module], target, ctx.tenant, app)
    return released[0].version if released else None
