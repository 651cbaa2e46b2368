"""The split of traffic on the way forward, by what the ready instances of both versions carry."""

import logging
from dataclasses import replace

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import component_of, set_weights, watch
from function_apps.deployments.activities.errands import (
    ShiftOf,
    StepOf,
    change,
    holding,
    observed,
    own,
    surface_of,
)
from function_apps.deployments.model import telling, traffic
from function_apps.deployments.model.deployment import Deployment, evolve, with_share, with_step
from function_apps.deployments.model.states import Change
from function_apps.deployments.model.traffic import Split
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import Dossier, decided, publish
from shared.contracts.deployments import StepShare
from shared.durable.steps import Step
from shared.kernel.errors import Unavailable
from shared.messaging.legacy_unit_of_work import NOTHING, Decision
from shared.surfaces.observed_state import LiveComponent

_log = logging.getLogger(__name__)


async def shift_traffic(shift: ShiftOf, step: Step, app: DeploymentsApp) -> None:
    """Give the new version of one component its share. `restore` undoes it.

    One that nothing was before takes all of its traffic at once: there is nothing to share with.
    Where instances of the old version are lost, the new one takes what they cannot carry.

    Raises:
        Unavailable: ready instances are too few; they may come back.
    """
    deployment = await holding(shift.errand, step, app)
    await _share(deployment, shift, step, app)


async def keep_capacity(of: StepOf, step: Step, app: DeploymentsApp) -> None:
    """Take traffic off instances that were lost since the step began. `restore` undoes it."""
    deployment = await holding(of.errand, step, app)
    for module in deployment.order:
        try:
            await _share(deployment, ShiftOf(of.errand, of.index, module), step, app)
        except Unavailable as short:
            _log.info("%s: the weights stay as they are: %s", module, short.message)


async def _share(deployment: Deployment, shift: ShiftOf, step: Step, app: DeploymentsApp) -> None:
    unit, before = deployment.released(shift.module), deployment.before(shift.module)
    assert unit is not None, shift.module
    if unit.port is None:
        return
    previous = before.release_revision if before and before.port is not None else None
    weight = deployment.steps[shift.index].weight
    surface, component = surface_of(unit, app), component_of(deployment, shift.module)
    live: LiveComponent | None = None
    split: Split | None = None

    async def is_carried() -> bool:
        nonlocal live, split
        live = await observed(surface, component)
        split = traffic.forward(weight, unit.release_revision, previous, live) if live else None
        return split is not None and not split.is_short

    # Instances that restart just now get a moment before the traffic goes without them.
    await watch(is_carried, app)
    if live is None or split is None:
        raise Unavailable(f"{shift.module} has too few ready instances for {weight} %")
    if split.reason:
        share = StepShare(
            module_id=unit.module_id,
            weight=split.weights[unit.release_revision],
            reason=split.reason,
        )
        await _record_share(shift, share, step, app)
    if split.weights != live.weights:
        await set_weights(surface, component, split.weights, deployment, step)


async def _record_share(shift: ShiftOf, share: StepShare, step: Step, app: DeploymentsApp) -> None:
    """Tell, before it acts, that a module's share is not the step's weight."""
    now = app.service.clock.now()

    def decide(found: Dossier) -> Decision:
        deployment = own(found, step).deployment
        before = deployment.steps[shift.index]
        if before.share_of(share.module_id) == share.weight:
            return NOTHING
        after = with_share(before, share)
        adjusted = evolve(
            deployment, Change.TRAFFIC_ADJUSTED, now, steps=with_step(deployment, after)
        )
        told = telling.step_changed(
            adjusted, shift.index, after.name, after.share, after.deadline_at
        )
        operation = operations.begin_step(
            found.open_operation,
            after.name,
            now,
            percent=found.open_operation.percent,
            detail=f"{share.module_id}: {share.reason}",
        )
        row = publish(told, app, shift.errand.scope, shift.errand.cause(step), adjusted.project_id)
        return decided(
            replace(found, deployment=adjusted, operation=operation), [row], "AdjustTraffic", {}
        )

    await change(shift.errand, step, app, decide)
