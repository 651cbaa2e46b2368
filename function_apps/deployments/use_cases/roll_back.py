"""RollbackDeployment: undo a deployment that is in force, or interrupt one on its way."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from function_apps.deployments import repository
from function_apps.deployments.model import (
    module_queue,
    plan_checks,
    policy_departures,
    revoked_secrets,
    undo,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.interruption import (
    require_same_way_back,
    rollback_interruption_of,
)
from function_apps.deployments.model.lifecycle import ROLLBACK_ASKED
from function_apps.deployments.model.predecessors import Predecessors, predecessors_of
from function_apps.deployments.model.rollback_effect import others_of
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import ROLL_BACK, DeploymentSet
from function_apps.deployments.resources import answer, with_taken_back
from function_apps.deployments.use_cases.cancel import interrupt
from function_apps.deployments.use_cases.components_in_force import components_in_force
from function_apps.deployments.use_cases.configuration_content import read_pinned
from function_apps.deployments.use_cases.deploy import enter_queue, plan_context
from function_apps.deployments.use_cases.nothing_to_take_back import require_taken_back
from function_apps.deployments.use_cases.plan_cancel import PLANNED, of_one_on_its_way
from function_apps.deployments.use_cases.plan_warnings import LISTED_MAX, stopped_first
from function_apps.deployments.use_cases.planned_removals import planned_removals
from shared.contracts.components import Component
from shared.contracts.deployment_plans import PlannedRestore, RollbackPlan
from shared.contracts.deployments import DeploymentStatus, EndReason, RollbackDeployment
from shared.contracts.strategies import StrategyKind
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.messaging.unit_of_work import Decision, Json, Outcome, View

_PASSED_MAX: Final = 50
"""Releases between the one in force and the one to go back to; of more it is not known."""


async def roll_back(
    command: RollbackDeployment, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Undo a Completed deployment by a new one of kind rollback; interrupt one on its way.

    Raises:
        NotRollbackable: it has ended otherwise, there is nothing to go back to, or it goes back to
            something else than *to_deployment_id*.
        NotInForce: another deployment has replaced it.
        NothingToTakeBack: what it would bring back is what runs.
        ArtifactRemoved: an archive that it needs is not stored any more.
        CannotBePlanned: what it goes back to is not possible any more, as its data was deleted, or
            would take something from others.
        ConfigurationRemoved: the configuration that it goes back to is not stored any more.
        Held: *to_deployment_id* was itself rolled back here.
    """
    decide = _decide(command, ctx, app)
    return await repository.change(command.deployment_id, ctx, app, decide, also=_wanted(command))


async def plan_rollback(
    command: RollbackDeployment, ctx: Context, app: DeploymentsApp
) -> RollbackPlan:
    """Return what a rollback would take back; change nothing. Raises as the rollback, and Stale."""
    deployment_id = command.deployment_id
    view = await repository.view_for_plan(deployment_id, ctx, app, also=_wanted(command))
    found = (await _decide(command, ctx, app)(view)).value
    known = repository.stored_set(view, deployment_id)
    if found["deploymentId"] == deployment_id:
        release, (restores, removals) = None, await of_one_on_its_way(known, ctx, app)
    else:
        wanted = _wanted_in(view, command)
        before = predecessors_of(known.deployment, wanted)
        back = undo.command_of(known.deployment, before)
        release = found["releaseRef"]
        restores = [_restored(each, before) for each in back.components]
        removals = await planned_removals(back, known.target, ctx, app)
    content = {name: found[name] for name in PLANNED}
    plan = {"releaseRef": release, "restores": restores, "removals": removals}
    return RollbackPlan.model_validate(content | plan)


def _restored(component: Component, before: Predecessors) -> PlannedRestore:
    module = component.module_id
    name = before.releases.get(module)
    ref = name.release_ref if name else None
    return PlannedRestore(module_id=module, version=component.version, release_ref=ref)


def _wanted_in(view: View, command: RollbackDeployment) -> Deployment | None:
    wanted = command.to_deployment_id
    return view.get(repository.DEPLOYMENTS, wanted) if wanted else None


def _wanted(command: RollbackDeployment) -> Sequence[str]:
    return [command.to_deployment_id] if command.to_deployment_id else []


def _decide(
    command: RollbackDeployment, ctx: Context, app: DeploymentsApp
) -> Callable[[View], Awaitable[Decision[Json]]]:
    """Return what decides on a rollback, and says what it takes back. Raises as `roll_back`."""
    ids = NewIds.draw(ctx, app.service.public_name, command.deployment_id)
    wanted, once = command.to_deployment_id, AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, command.deployment_id)
        if known.deployment.status is DeploymentStatus.COMPLETED:
            return await _undo(known, _wanted_in(view, command), ids, once, ctx, app)
        reason = EndReason(code=ROLLBACK_ASKED, message=command.reason or "asked by a caller")
        interruption = rollback_interruption_of(known.deployment)
        if wanted:
            require_same_way_back(known.deployment, wanted, known.target)
        return interrupt(known, interruption, reason, view, ids, ctx, kind=ROLL_BACK)

    async def decide_with_taken_back(view: View) -> Decision[Json]:
        decision = await decide(view)
        undone = view.get(repository.DEPLOYMENTS, command.deployment_id)
        return replace(decision, value=with_taken_back(decision.value, undone))

    return decide_with_taken_back


async def _undo(
    known: DeploymentSet,
    wanted: Deployment | None,
    ids: NewIds,
    once: AskedOnce,
    ctx: Context,
    app: DeploymentsApp,
) -> Decision[Json]:
    """Put a deployment of kind rollback into the queue, or answer the one that is there.

    As of a release, one whose document is lost answers nobody.
    """
    undone, target = known.deployment, known.target
    passed = await _passed(undone, wanted, ctx, app) if wanted else frozenset()
    queued = undo.queued_undo(undone, wanted, target, passed)
    if queued is not None:
        find = app.service.work.find
        there = await find(repository.DEPLOYMENTS, queued.deployment, ctx.tenant)
        if there is not None:
            return Decision(answer(there, target), is_repeat=True)
    rollback, command = undo.rollback_of(undone, wanted, target, ids, ctx, passed)
    given = await read_pinned(rollback.pins, ctx.tenant, app)
    asked = command.components
    context = await once.ask(asked, lambda: plan_context(asked, command.environment_id, ctx, app))
    context = replace(context, configurations=given, secrets=rollback.secrets)
    undo.require_archives(command, context.uploaded, wanted)
    plan = plan_checks.require_plan(command, ctx.tenant, target, target.queue, context)
    running = await components_in_force(undone.modules, target, ctx.tenant, app, [undone])
    await require_taken_back(
        rollback, plan.components, running, wanted or undone, target, ctx.tenant, app
    )
    had = revoked_secrets.secrets_of(running)
    said = [
        *stopped_first(command, target),
        *(others_of(wanted, undone) if wanted else ()),
        *policy_departures.not_put_back(rollback, target),
        *revoked_secrets.not_given(had, plan.components, target.facts),
        *revoked_secrets.not_brought_back(rollback.secrets, plan.components, target.facts, had),
    ]
    content = module_queue.keys_of(command).content
    return enter_queue(
        rollback,
        plan.components,
        content,
        ids,
        target,
        ctx,
        kind=ROLL_BACK,
        warnings=said[:LISTED_MAX],
    )


async def _passed(
    undone: Deployment, wanted: Deployment, ctx: Context, app: DeploymentsApp
) -> Collection[StrategyKind]:
    """Return how the releases between *wanted* and *undone* went.

    As a recreate where that is not known to its end, or *wanted* is none of those before: two
    versions that a recreate kept apart do not run beside each other on a guess.
    """
    kinds: set[StrategyKind] = set()
    read: dict[str, Deployment] = {}
    for module in undone.modules:
        goal = wanted.restores.get(module, wanted.deployment_id)
        before = undone.earlier_releases.get(module)
        while before is not None and before.deployment_id != goal:
            name = before.deployment_id
            if name not in read and len(read) < _PASSED_MAX:
                found = await app.service.work.find(repository.DEPLOYMENTS, name, ctx.tenant)
                read |= {name: found} if found else {}
            known = read.get(name)
            kinds |= {known.strategy.kind} if known else set()
            before = known.earlier_releases.get(module) if known else None
        if before is None:
            kinds.add(StrategyKind.RECREATE)
    return kinds
