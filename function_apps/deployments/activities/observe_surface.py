"""Observations of a surface, and the writes of activities to it; no activity of its own."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar, cast

from function_apps.deployments.activities.keep_output import Removed, keep_output
from function_apps.deployments.model import traffic_split
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.releases import ReleasedComponent
from shared.durable.activity import ActivityContext
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.errors import NotReady
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Schedules, Surface, configured_surface
from shared.surfaces.spec import SurfaceComponent

T = TypeVar("T")


def surface_of(component: ReleasedComponent, app: DeploymentsApp) -> Surface:
    """Return the surface of *component*. Raises Unavailable: the installation has none."""
    return configured_surface(app.surfaces, component.compute_target)


def surfaces_of(target: DeploymentTarget, app: DeploymentsApp) -> Sequence[Surface]:
    """Return the surfaces that the environment of *target* offers, all while that is not known.

    Another one that is away stops nothing there.
    """
    environment = target.environment
    offered = environment.targets if environment else ()
    return [surface for kind, surface in app.surfaces.items() if not offered or kind in offered]


def surface_component(component: ReleasedComponent, deployment: Deployment) -> SurfaceComponent:
    return SurfaceComponent(deployment.environment_id, deployment.tenant_id, component.module_id)


async def observe(
    component: ReleasedComponent, deployment: Deployment, app: DeploymentsApp
) -> LiveComponent | None:
    """Return the live state of *component*. Raises Unavailable: it is not known."""
    return await observe_or_raise(
        surface_of(component, app), surface_component(component, deployment)
    )


async def observe_or_raise(surface: Surface, workload: SurfaceComponent) -> LiveComponent | None:
    """Return the live state of *workload*, None when nothing is live.

    Raises:
        Unavailable: it could not be read, so nothing may follow from it.
    """
    match await surface.observe(workload):
        case Present(live):
            return live
        case Absent():
            return None
        case Unknown(reason):
            raise Unavailable(f"{workload.module} cannot be observed: {reason}")


async def live_components(
    deployment: Deployment, surfaces: Sequence[Surface]
) -> Mapping[ModuleId, LiveComponent]:
    """Return what is live of the modules of *deployment* on *surfaces*.

    Raises:
        Unavailable: it is not known.
    """
    components: dict[ModuleId, LiveComponent] = {}
    for module in deployment.modules:
        workload = SurfaceComponent(deployment.environment_id, deployment.tenant_id, module)
        for surface in surfaces:
            live = await observe_or_raise(surface, workload)
            if live is not None:
                components[module] = live
    return components


async def poll_until(
    is_done: Callable[[T], bool],
    poll: Callable[[], Awaitable[T]],
    app: DeploymentsApp,
    every_s: float | None = None,
    *,
    watch_s: float | None = None,
) -> T:
    """Poll again and again for a while, until an observation is what is waited for.

    Poll once at least, and no longer than *watch_s*. Return the last observation.
    """
    clock = app.service.clock
    longest_s = app.rules.observe_for_s
    until_s = clock.monotonic_s() + (longest_s if watch_s is None else min(watch_s, longest_s))
    while not is_done(observation := await poll()) and clock.monotonic_s() < until_s:
        await clock.sleep(every_s or app.rules.observe_every_s)
    return observation


async def keep_what_has_room(
    component: ReleasedComponent,
    live: LiveComponent | None,
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> bool:
    """Take away what *component* has beyond its recorded number and its surface has no room for.

    Return whether there was something.
    """
    revision = live.revision(component.release_revision) if live else None
    if revision is None or not traffic_split.has_no_room(revision, component):
        return False
    workload, fence = surface_component(component, deployment), ctx.fence(deployment)
    await surface_of(component, app).scale(workload, revision.revision, revision.ready, fence)
    return True


async def remove_all_but(
    kept: Collection[int],
    component: ReleasedComponent,
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Remove every live revision but those in *kept*; with none kept, the traffic first.

    What they wrote is kept before.
    """
    surface, workload = surface_of(component, app), surface_component(component, deployment)
    live = await observe_or_raise(surface, workload)
    if live is None:
        return
    fence = ctx.fence(deployment)
    if not kept and live.weights:
        await surface.set_weights(workload, {}, fence)
    removed = [Removed(workload, each) for each in live.revisions if each.revision not in kept]
    await keep_output(removed, surface, fence, ctx, app)
    for each in removed:
        await surface.remove(workload, each.revision.revision, fence)


async def activate_schedule(
    component: ReleasedComponent, deployment: Deployment, ctx: ActivityContext, app: DeploymentsApp
) -> None:
    """Let the schedule of *component* be the one that starts runs; one without has none."""
    if component.schedule is None:
        return
    # Its plan was refused where the surface has no schedules.
    schedules = cast("Schedules", surface_of(component, app))
    workload = surface_component(component, deployment)
    await schedules.activate_schedule(workload, component.release_revision, ctx.fence(deployment))


async def set_weights(
    component: ReleasedComponent,
    weights: Mapping[int, int],
    deployment: Deployment,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Split the traffic. Raises Unavailable where instances lost readiness: they may come back."""
    workload = surface_component(component, deployment)
    try:
        await surface_of(component, app).set_weights(workload, weights, ctx.fence(deployment))
    except NotReady as lost:
        raise Unavailable(lost.message) from lost
