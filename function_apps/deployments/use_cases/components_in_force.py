"""Reads what is in force of modules, from the deployments that released it."""

from collections.abc import Iterable, Sequence

from function_apps.deployments.model import predecessors
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId, TenantId


async def components_in_force(
    modules: Sequence[ModuleId],
    target: DeploymentTarget,
    tenant: TenantId,
    app: DeploymentsApp,
    read: Iterable[Deployment] = (),
) -> Sequence[ReleasedComponent]:
    """Return the components in force of *modules*; without those of which nothing is known.

    Those in *read* are not read again.
    """
    known: dict[str, Deployment] = {each.deployment_id: each for each in read}
    released = [by for module in modules for by in target.module(module).released_in]
    for by in dict.fromkeys(released):
        if by not in known:
            found = await app.service.work.find(DEPLOYMENTS, by, tenant)
            known.update({by: found} if found else {})
    return predecessors.in_force(target, modules, known).components
