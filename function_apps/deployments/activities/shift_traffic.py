"""The split of traffic on the way forward, by the ready capacity of both versions."""

import logging
from contextlib import suppress
from dataclasses import replace

from function_apps.deployments import events
from function_apps.deployments.activities.inputs import ModuleStepInput, StepInput
from function_apps.deployments.activities.observe_surface import (
    keep_what_has_room,
    observe,
    poll_until,
    set_weights,
    surface_component,
    surface_of,
)
from function_apps.deployments.model import replicas, traffic_split
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.lifecycle import TrafficAdjusted
from function_apps.deployments.model.rollout_steps import with_share
from function_apps.deployments.model.traffic_split import Split
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DeploymentSet,
    commit_deployment_step,
    load_owned_deployment,
    load_owned_set,
    step,
)
from shared.contracts.deployments import StepShare
from shared.durable.activity import ActivityContext, Step
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ModuleId
from shared.kernel.operation import Operation
from shared.surfaces.errors import NotOwner
from shared.surfaces.observed_state import LiveComponent

_log = logging.getLogger(__name__)


async def shift_traffic(given: ModuleStepInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Give the new version of one component its share, and as many instances as it is to have.

    Those of one that a policy scales, or scaled, may have to be started first (`keep_number`).
    A new component takes all of its traffic at once: there is no version to share with. Where
    instances of the previous version are lost, the new one takes what they cannot carry.

    Weights that are there already are set once more: an attempt before may have written them, and
    not seen them in force.

    Raises:
        Unavailable: ready instances are too few, or the weights not in force; that may come.
    """
    known = await load_owned_set(ctx, app)
    await keep_number(given.module, known, ctx, app)
    await _share(known.deployment, given, ctx, app, sets_again=True)


async def keep_number(
    module: ModuleId, known: DeploymentSet, ctx: ActivityContext, app: DeploymentsApp
) -> None:
    """Bring a new version whose number a policy has, or left, to as many as the one in force has.

    The policy may have raised that before the new version had traffic, and be over since.
    """
    deployment = known.deployment
    component, before = deployment.candidate(module), deployment.before(module)
    if component is None or before is None or not replicas.is_scaled(component, known.target.facts):
        return
    live = await observe(component, deployment, app)
    if await keep_what_has_room(component, live, deployment, ctx, app):
        return
    number, wanted = (traffic_split.live_replicas(live, each) for each in (component, before))
    if number is not None and wanted is not None and number < wanted:
        workload, revision = surface_component(component, deployment), component.release_revision
        with suppress(NotOwner):  # rules of the surface have the number
            fence = ctx.fence(deployment)
            await surface_of(component, app).scale(workload, revision, wanted, fence)


async def keep_capacity(given: StepInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Take traffic off instances that were lost since the step began."""
    deployment = await load_owned_deployment(ctx, app)
    for module in deployment.order:
        try:
            await _share(deployment, ModuleStepInput(given.index, module), ctx, app)
        except Unavailable as short:
            _log.info("%s: the weights stay as they are: %s", module, short.message)


async def _share(
    deployment: Deployment,
    given: ModuleStepInput,
    ctx: ActivityContext,
    app: DeploymentsApp,
    *,
    sets_again: bool = False,
) -> None:
    component, before = deployment.candidate(given.module), deployment.before(given.module)
    assert component is not None, given.module
    if component.port is None:
        return
    previous = before.release_revision if before and before.port is not None else None
    weight = deployment.steps[given.index].weight
    revision, minimums = component.release_revision, traffic_split.minimums(component, before)

    async def poll() -> tuple[LiveComponent | None, Split | None]:
        live = await observe(component, deployment, app)
        if live is None:
            return None, None
        return live, traffic_split.forward(weight, revision, previous, live, minimums)

    # Instances that restart just now get a moment before the traffic goes without them.
    live, split = await poll_until(_is_carried, poll, app)
    if live is None or split is None:
        raise Unavailable(f"{given.module} has too few ready instances for {weight} %")
    if split.reason:
        share = StepShare(
            module_id=component.module_id,
            weight=split.weights[revision],
            reason=split.reason,
        )
        await _record_share(given, share, ctx, app)
    if sets_again or split.weights != live.weights:
        await set_weights(component, split.weights, deployment, ctx, app)


def _is_carried(observation: tuple[LiveComponent | None, Split | None]) -> bool:
    _, split = observation
    return split is not None and not split.is_short


async def _record_share(
    given: ModuleStepInput, share: StepShare, ctx: ActivityContext, app: DeploymentsApp
) -> None:
    """Publish, before it acts, that a module's share is not the step's weight."""

    def decide(known: DeploymentSet, operation: Operation) -> Step[None]:
        planned = known.deployment.steps[given.index]
        if planned.share_of(share.module_id) == share.weight:
            return Step(None, operation)
        shared = with_share(planned, share)
        adjusted = evolve(known.deployment, TrafficAdjusted(shared), ctx.now())
        event = events.step_changed(
            adjusted, given.index, shared.name, shared.share, shared.deadline_at
        )
        progress = operation.begin_step(
            shared.name,
            ctx.now(),
            percent=operation.percent,
            detail=f"{share.module_id}: {share.reason}",
        )
        after = replace(known, deployment=adjusted)
        return step(None, progress, known, after, [event], action="AdjustTraffic")

    await commit_deployment_step(ctx, app, decide, is_recorded=False)
