"""How activities look at a surface and write to it; no activity of its own."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.durable.activity import ActivityContext
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.errors import NotReady
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent


def surface_of(unit: ReleasedComponent, app: DeploymentsApp) -> Surface:
    return app.surfaces[unit.compute_target]


def surface_component(unit: ReleasedComponent, deployment: Deployment) -> SurfaceComponent:
    return SurfaceComponent(deployment.environment_id, deployment.tenant_id, unit.module_id)


async def observe(
    unit: ReleasedComponent, deployment: Deployment, app: DeploymentsApp
) -> LiveComponent | None:
    """Return the live state of the component of *unit*. Raises Unavailable: it is not known."""
    return await observe_or_raise(surface_of(unit, app), surface_component(unit, deployment))


async def observe_or_raise(surface: Surface, component: SurfaceComponent) -> LiveComponent | None:
    """Return the live state of *component*, None when nothing is live.

    Raises:
        Unavailable: it could not be read, so nothing may follow from it.
    """
    match await surface.observe(component):
        case Present(live):
            return live
        case Absent():
            return None
        case Unknown(reason):
            raise Unavailable(f"{component.module} cannot be observed: {reason}")


async def poll_until(
    holds: Callable[[], Awaitable[bool]], app: DeploymentsApp, every_s: float | None = None
) -> bool:
    """Ask again and again for a while; return whether *holds* came true."""
    clock = app.service.clock
    until_s = clock.monotonic_s() + app.rules.look_for_s
    while not await holds():
        if clock.monotonic_s() >= until_s:
            return False
        await clock.sleep(every_s or app.rules.look_every_s)
    return True


async def remove_all_but(
    kept: Collection[int],
    unit: ReleasedComponent,
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Remove every live revision but those in *kept*; with none kept, the traffic first."""
    surface, component = surface_of(unit, app), surface_component(unit, deployment)
    live = await observe_or_raise(surface, component)
    if live is None:
        return
    fence = ctx.fence(deployment)
    if not kept and live.weights:
        await surface.set_weights(component, {}, fence)
    for revision in live.revisions:
        if revision.revision not in kept:
            await surface.remove(component, revision.revision, fence)


async def set_weights(
    unit: ReleasedComponent,
    weights: Mapping[int, int],
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Split the traffic. Raises Unavailable where instances lost readiness: they may come back."""
    component = surface_component(unit, deployment)
    try:
        await surface_of(unit, app).set_weights(component, weights, ctx.fence(deployment))
    except NotReady as lost:
        raise Unavailable(lost.message) from lost
