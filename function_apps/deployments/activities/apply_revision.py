"""What changes on a surface on the way forward; each write is under the deployment's token."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from function_apps.deployments.activities.errands import (
    ModuleOf,
    holding,
    observed,
    surface_of,
)
from function_apps.deployments.model import traffic, units
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.durable.steps import Step
from shared.kernel.errors import Unavailable
from shared.surfaces.errors import NotReady
from shared.surfaces.observed_state import Phase
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent as Component


def component_of(deployment: Deployment, module: str) -> Component:
    unit = deployment.released(module) or deployment.before(module)
    assert unit is not None, module
    return units.surface_component(unit.module_id, deployment.environment_id, deployment.tenant_id)


async def stop_old(module: ModuleOf, step: Step, app: DeploymentsApp) -> None:
    """Recreate: take the old version away before the new one comes. `restore` undoes it."""
    deployment = await holding(module.errand, step, app)
    before = deployment.before(module.module)
    if before is not None:
        await remove_all_but((), before, deployment, step, app)


async def remove_all_but(
    kept: Collection[int],
    unit: ReleasedComponent,
    deployment: Deployment,
    step: Step,
    app: DeploymentsApp,
) -> None:
    """Remove every live revision but those in *kept*; with none kept, the traffic first."""
    surface, component = surface_of(unit, app), component_of(deployment, unit.module_id)
    live = await observed(surface, component)
    if live is None:
        return
    fence = step.fence(deployment.token)
    if not kept and live.weights:
        await surface.set_weights(component, {}, fence)
    for revision in live.revisions:
        if revision.revision not in kept:
            await surface.remove(component, revision.revision, fence)


async def look_gone(module: ModuleOf, step: Step, app: DeploymentsApp) -> bool:
    """Watch for a while whether everything that was removed is gone."""
    deployment = await holding(module.errand, step, app)
    unit = deployment.before(module.module) or deployment.released(module.module)
    if unit is None:
        return True
    surface, component = surface_of(unit, app), component_of(deployment, module.module)

    async def is_gone() -> bool:
        live = await observed(surface, component)
        return live is None or all(r.phase is not Phase.DRAINING for r in live.revisions)

    return await watch(is_gone, app)


async def apply_candidate(module: ModuleOf, step: Step, app: DeploymentsApp) -> None:
    """Have the new version's instances, without traffic. `remove_candidate` undoes it."""
    deployment = await holding(module.errand, step, app)
    unit = deployment.released(module.module)
    assert unit is not None, module.module
    spec = units.spec_of(unit, deployment.environment_id, deployment.tenant_id, app.rules.rollout)
    await surface_of(unit, app).apply(spec, step.fence(deployment.token))


async def look_ready(module: ModuleOf, step: Step, app: DeploymentsApp) -> bool:
    """Watch for a while whether all instances of the new version are ready."""
    deployment = await holding(module.errand, step, app)
    unit = deployment.released(module.module)
    assert unit is not None, module.module
    component = component_of(deployment, module.module)

    async def is_ready() -> bool:
        return traffic.is_whole(await observed(surface_of(unit, app), component), unit)

    return await watch(is_ready, app)


async def set_weights(
    surface: Surface,
    component: Component,
    weights: Mapping[int, int],
    deployment: Deployment,
    step: Step,
) -> None:
    """Split the traffic. Raises Unavailable where instances lost readiness: they may come back."""
    try:
        await surface.set_weights(component, weights, step.fence(deployment.token))
    except NotReady as lost:
        raise Unavailable(lost.message) from lost


async def watch(
    holds: Callable[[], Awaitable[bool]], app: DeploymentsApp, every_s: float | None = None
) -> bool:
    """Ask again and again for a while; return whether it came to be so."""
    clock = app.service.clock
    until_s = clock.monotonic_s() + app.rules.look_for_s
    while not await holds():
        if clock.monotonic_s() >= until_s:
            return False
        await clock.sleep(every_s or app.rules.look_every_s)
    return True
