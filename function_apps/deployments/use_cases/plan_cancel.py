"""The dry run of a cancellation, and what stays of the modules of a deployment on its way."""

from collections.abc import Sequence
from typing import Final

from function_apps.deployments import repository
from function_apps.deployments.model.interruption import started_again
from function_apps.deployments.model.lifecycle import BEFORE_APPLIED
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import with_taken_back
from function_apps.deployments.use_cases.cancel import decided_on
from function_apps.deployments.use_cases.planned_removals import version_in_force
from shared.contracts.deployment_plans import PlannedRemoval, PlannedRestore, RollbackPlan
from shared.contracts.deployments import Cancellation
from shared.kernel.context import Context

PLANNED: Final = ("environmentId", "takenBack", "waitingFor", "holder", "warnings")
"""The fields of a dry run that are those of the answer of its request."""


async def plan_cancel(
    deployment_id: str, command: Cancellation, ctx: Context, app: DeploymentsApp
) -> RollbackPlan:
    """Return what a cancellation would take back; change nothing. Raises as `cancel`, and Stale."""
    view = await repository.view_for_plan(deployment_id, ctx, app)
    decided = decided_on(deployment_id, command, ctx, app)(view)
    known = repository.stored_set(view, deployment_id)
    found = with_taken_back(decided.value, known.deployment)
    restores, removals = await of_one_on_its_way(known, ctx, app)
    content = {name: found[name] for name in PLANNED}
    plan = {"releaseRef": None, "restores": restores, "removals": removals}
    return RollbackPlan.model_validate(content | plan)


async def of_one_on_its_way(
    known: DeploymentSet, ctx: Context, app: DeploymentsApp
) -> tuple[Sequence[PlannedRestore], Sequence[PlannedRemoval]]:
    """Return what stays in force of its modules, and what is taken away as nothing was before.

    Of one that is ended at once nothing was applied, so that nothing is taken away.
    """
    target, deployment = known.target, known.deployment
    restores = [
        PlannedRestore(
            module_id=module,
            version=await version_in_force(module, target, ctx, app),
            starts_again=module in started_again(deployment),
        )
        for module in deployment.modules
        if target.module(module).revision
    ]
    removals = [
        PlannedRemoval(module_id=each.module_id, release_revision=None, version=each.version)
        for each in deployment.components
        if not target.module(each.module_id).revision and deployment.status not in BEFORE_APPLIED
    ]
    return restores, removals
