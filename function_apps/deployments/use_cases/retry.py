"""Retry: begin a Failed deployment anew, or have a paused step judged again."""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.deployments import repository
from function_apps.deployments.model import module_queue, plan_checks
from function_apps.deployments.model.analysis import is_gated
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment import Deployment, deploy_command
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.prod_change import prod_change
from function_apps.deployments.model.retry import begin_anew, restart_analysis
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import DeploymentSet
from function_apps.deployments.resources import answer
from function_apps.deployments.use_cases.components_in_force import components_in_force
from function_apps.deployments.use_cases.configuration_content import read_pinned
from function_apps.deployments.use_cases.deploy import enter_queue, plan_context
from function_apps.deployments.use_cases.nothing_to_take_back import require_taken_back
from function_apps.deployments.use_cases.pin_configuration import configure, keep_merges
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentReason
from shared.contracts.releases import ReleasedComponent
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context, NewIds
from shared.messaging.outbox import Audited, Raise
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.policies.prod_rules import ProdChange


async def retry(
    deployment_id: str, command: DeploymentReason, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Begin a Failed deployment anew, or have the step judged again at which one is paused.

    Raises:
        NotRetryable: it is in another state.
        NothingToTakeBack: it is a rollback, and what it would bring back is what runs.
        CannotBePlanned, Held, EnvironmentNotUsable, BindingRequired, PolicyDenied: as for a new
            one.
    """
    ids = NewIds.draw(ctx, app.service.public_name, deployment_id)
    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        known = repository.stored_set(view, deployment_id)
        decision = (
            _restart_analysis(known, ctx)
            if known.deployment.is_paused
            else await _begin_anew(known, ids, once, ctx, app)
        )
        audited = Audited(repository.RETRY.name, deployment_id, reason=command.reason)
        decision = replace(decision, audited=audited)
        if app.prod_policy is None:
            return decision
        return await app.prod_policy.permit(decision, _prod_change(known), ctx, once)

    return await repository.change(deployment_id, ctx, app, decide)


def _prod_change(known: DeploymentSet) -> ProdChange | None:
    """Return what a release that begins anew changes in prod; the step of a paused one is there."""
    failed = known.deployment
    if failed.kind is not DeploymentKind.RELEASE or failed.is_paused:
        return None
    promoted_from = failed.evidence.stage if failed.evidence else None
    return prod_change(deploy_command(failed), known.target, promoted_from, is_retry=True)


def _restart_analysis(known: DeploymentSet, ctx: Context) -> Decision[Json]:
    paused = known.deployment
    again = restart_analysis(paused, ctx.now())
    return Decision(
        answer(again, known.target),
        writes=[repository.DEPLOYMENTS.put(again)],
        outbox=[Raise(paused.operation_id, paused.wait_name)] if paused.wait_name else [],
    )


async def _begin_anew(
    known: DeploymentSet, ids: NewIds, once: AskedOnce, ctx: Context, app: DeploymentsApp
) -> Decision[Json]:
    target = known.target
    again = begin_anew(known.deployment, target, ids.operation_id, app.rules.soak, ids.now)
    command = deploy_command(again)
    given = await _configurations(again, command, target, ctx, app)
    again = replace(again, pins=given.pins)
    asked = command.components
    context = await once.ask(asked, lambda: plan_context(asked, command.environment_id, ctx, app))
    context = replace(context, is_gated=is_gated(again), configurations=given)
    context = replace(context, secrets=again.secrets)
    plan = plan_checks.require_plan(command, ctx.tenant, target, target.queue, context)
    if again.kind is DeploymentKind.ROLLBACK:
        await _require_taken_back(again, plan.components, target, ctx, app)
    await keep_merges(given, ctx, app)
    content = module_queue.keys_of(command).content
    return enter_queue(again, plan.components, content, ids, target, ctx, kind=repository.RETRY)


async def _require_taken_back(
    again: Deployment,
    back: Sequence[ReleasedComponent],
    target: DeploymentTarget,
    ctx: Context,
    app: DeploymentsApp,
) -> None:
    """Refuse a rollback that would bring back what runs, as its request. Raises NothingToTakeBack.

    Of one whose document, or that of its goal, is lost the work finds out.
    """
    find, undone = app.service.work.find, None
    if again.rolled_back_deployment_id is not None:
        undone = await find(repository.DEPLOYMENTS, again.rolled_back_deployment_id, ctx.tenant)
    if undone is None:
        return
    running = await components_in_force(undone.modules, target, ctx.tenant, app, [undone])
    goals = {*again.restores.values()}
    before = {each.deployment_id for each in undone.earlier_releases.values()}
    goal: Deployment | None = undone
    if goals != before and len(goals) == 1:
        goal = await find(repository.DEPLOYMENTS, goals.pop(), ctx.tenant)
    await require_taken_back(again, back, running, goal or undone, target, ctx.tenant, app)


async def _configurations(
    again: Deployment, command: Deploy, target: DeploymentTarget, ctx: Context, app: DeploymentsApp
) -> Configurations:
    """Return what is pinned anew; a rollback goes back to what it went back to."""
    if again.kind is DeploymentKind.ROLLBACK:
        return await read_pinned(again.pins, ctx.tenant, app)
    return await configure(command, target, ctx, app)
