"""Instances that start, and those that stop before; each write is under the deployment's token."""

from dataclasses import replace

from function_apps.deployments.activities.inputs import ModuleInput
from function_apps.deployments.activities.observe_surface import (
    keep_what_has_room,
    observe,
    poll_until,
    remove_all_but,
    set_weights,
    surface_of,
)
from function_apps.deployments.activities.prove_release import departures_of
from function_apps.deployments.activities.start_failure import (
    require_running,
    require_starting,
)
from function_apps.deployments.errors import ProofFailed
from function_apps.deployments.model import release_unit, traffic_split
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.replicas import BEGINS_WITH_LIVE
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import load_owned_deployment
from function_apps.deployments.use_cases.configuration_content import read_merge
from function_apps.deployments.use_cases.deploy import plan_context
from function_apps.deployments.use_cases.room_in_quotas import has_room_to_go_back
from shared.contracts.releases import ReleasedComponent
from shared.durable.activity import ActivityContext
from shared.surfaces.observed_state import Phase


async def stop_previous(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Recreate: remove the previous version before the new one comes."""
    deployment = await load_owned_deployment(ctx, app)
    before = deployment.before(given.module)
    if before is not None:
        await remove_all_but((), before, deployment, ctx, app)


async def stop_candidate(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Recreate, on the way back: remove the rejected version where the previous one needs its room.

    Else it serves until that one is ready, which may never come. What else is live stays.
    """
    deployment = await load_owned_deployment(ctx, app)
    context = await plan_context((), deployment.environment_id, ctx, app)
    if await has_room_to_go_back(deployment, context.capabilities, app):
        return
    candidate = deployment.candidate(given.module)
    live = await observe(candidate, deployment, app) if candidate else None
    if candidate is None or live is None:
        return
    rejected = candidate.release_revision
    if live.weights.get(rejected):
        await set_weights(candidate, {}, deployment, ctx, app)
    kept = {each.revision for each in live.revisions} - {rejected}
    await remove_all_but(kept, candidate, deployment, ctx, app)


async def apply_candidate(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Start the instances of the new version, without traffic.

    Where a policy scales it, or nobody asked for another release, as many as the version in force
    has, or more: they may get all of its traffic.
    """
    deployment = await load_owned_deployment(ctx, app)
    component = deployment.candidate(given.module)
    assert component is not None, given.module
    values = await read_merge(component.configuration, deployment.tenant_id, app)
    spec = release_unit.to_revision_spec(
        component, deployment.environment_id, deployment.tenant_id, app.rules.rollout, values
    )
    if component.scaling_policy_revision or deployment.kind in BEGINS_WITH_LIVE:
        spec = replace(spec, replicas=await _as_many(component, deployment, app))
    await surface_of(component, app).apply(spec, ctx.fence(deployment))


async def _as_many(
    component: ReleasedComponent, deployment: Deployment, app: DeploymentsApp
) -> int:
    """Return how many instances a version begins with that has no fewer than there are.

    Where the version in force was stopped before, as many as that had; one that is brought back
    has its recorded minimum at least.
    """
    before, module = deployment.before(component.module_id), component.module_id
    live = await observe(before, deployment, app) if before else None
    number = traffic_split.live_replicas(live, before) if before else None
    if number is None:
        number = deployment.live_replicas.get(module, 0)
    return max(component.replicas, deployment.recorded_of(component).minimum, number)


async def check_ready(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> bool:
    """Watch for a while whether all instances of the new version are ready.

    Then they are asked which release they are, before they get traffic. What runs once is ready
    when it has ended well.

    Raises:
        JobFailed: it has not, and is not tried again.
        StartFailed: an instance ended again and again.
        ProofFailed: for a while they said that they are another one.
        Unavailable: they do not say which they are.
    """
    deployment = await load_owned_deployment(ctx, app)
    component = deployment.candidate(given.module)
    assert component is not None, given.module

    async def is_ready() -> bool:
        live = await observe(component, deployment, app)
        if component.runs_once is not None:
            require_running(component, live, app)
        elif not await keep_what_has_room(component, live, deployment, ctx, app):
            require_starting(component, live)
        return traffic_split.is_whole(live, component)

    async def find_departures() -> tuple[str, ...]:
        return await departures_of(component, deployment, app)

    if not await poll_until(bool, is_ready, app, watch_s=given.watch_s):
        return False
    if component.release is not None:
        departures = await poll_until(
            lambda found: not found, find_departures, app, app.rules.prove_every_s
        )
        if departures:
            raise ProofFailed(departures[0])
    return True


async def check_drained(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> bool:
    """Watch for a while whether every removed instance is gone."""
    deployment = await load_owned_deployment(ctx, app)
    component = deployment.before(given.module) or deployment.candidate(given.module)
    if component is None:
        return True

    async def is_gone() -> bool:
        live = await observe(component, deployment, app)
        return live is None or all(r.phase is not Phase.DRAINING for r in live.revisions)

    return await poll_until(bool, is_gone, app, watch_s=given.watch_s)
