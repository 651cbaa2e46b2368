"""The end of a rollout that went well: old instances drained, the release proved and recorded."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from function_apps.deployments.activities.inputs import Completion, ModuleInput
from function_apps.deployments.activities.observe_surface import (
    activate_schedule,
    observe,
    remove_all_but,
    set_weights,
)
from function_apps.deployments.activities.prove_release import prove_within
from function_apps.deployments.activities.shift_traffic import keep_number
from function_apps.deployments.events import alert_cleared
from function_apps.deployments.model import alerts, bound_secrets, module_queue
from function_apps.deployments.model.configuration import pins_of
from function_apps.deployments.model.configuration_roll_out import missed_by
from function_apps.deployments.model.deployment import Deployment, deploy_command, evolve
from function_apps.deployments.model.deployment_target import with_in_force, without_in_force
from function_apps.deployments.model.holds import add_holds, hold_of, rejected_components
from function_apps.deployments.model.lifecycle import PromotionBegan, ReleaseProved
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DeploymentSet,
    commit_deployment_step,
    last_step,
    load_owned_set,
    step,
)
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.releases import Hold, Proof, ReleasedComponent, ReleaseUnit
from shared.contracts.values import Reason
from shared.durable.activity import ActivityContext, Step
from shared.kernel.operation import Operation
from shared.messaging.outbox import Row, Send


async def begin_promotion(ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Commit that the new version stays and the previous one goes."""

    def decide(known: DeploymentSet, operation: Operation) -> Step[None]:
        if known.deployment.status is DeploymentStatus.PROMOTING:
            return Step(None, operation)
        after = replace(known, deployment=evolve(known.deployment, PromotionBegan(), ctx.now()))
        progress = operation.begin_step("drain previous", ctx.now(), percent=88)
        return step(None, progress, known, after, action="BeginPromotion")

    await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def drain_previous(given: ModuleInput, ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Remove every revision but the new one; a removed module loses all of them.

    Before, the new one is brought to as many instances as its policy has, or left (`keep_number`).
    The surface drains them first; until they are gone a rollback takes them back. The schedule of
    the new one takes over before.
    """
    known = await load_owned_set(ctx, app)
    await keep_number(given.module, known, ctx, app)
    deployment = known.deployment
    component = deployment.candidate(given.module)
    before = deployment.before(given.module)
    if component is not None:
        if component.port is None and before is not None and before.port is not None:
            await set_weights(before, {}, deployment, ctx, app)
        await activate_schedule(component, deployment, ctx, app)
        await remove_all_but({component.release_revision}, component, deployment, ctx, app)
        return
    if before is not None:
        await remove_all_but((), before, deployment, ctx, app)


async def complete_release(ctx: ActivityContext, app: DeploymentsApp) -> Completion:
    """Prove the release by asking each live instance, record it as in force, and publish it.

    Asks again for a while when an instance runs something else, which may just be restarting; then
    answers the first mismatch.
    """
    found = await load_owned_set(ctx, app)
    deployment = found.deployment
    assert deployment.unit is not None
    proof, mismatches = await prove_within(found, deployment.unit.components, app)
    if mismatches:
        return Completion(None, mismatches[0])
    components = [
        await _with_endpoint(deployment, component, app) for component in deployment.unit.components
    ]
    unit = deployment.unit.model_copy(update={"components": tuple(components)})

    def decide(known: DeploymentSet, operation: Operation) -> Step[Completion]:
        return _completed(known, unit, proof, operation, ctx, app.service.name)

    return await commit_deployment_step(ctx, app, decide)


def _completed(
    known: DeploymentSet,
    unit: ReleaseUnit,
    proof: Proof,
    operation: Operation,
    ctx: ActivityContext,
    service: str,
) -> Step[Completion]:
    now = ctx.now()
    undone = _undone(known.deployment)
    holds = _holds(known.deployment, undone, now)
    done = evolve(known.deployment, ReleaseProved(unit, proof, holds), now)
    pins = pins_of(unit.components)
    secrets = [(each.module_id, secret) for each in unit.components for secret in each.secrets]
    key = module_queue.keys_of(deploy_command(done), pins, secrets).unit
    target = with_in_force(known.target, unit.components, done.deployment_id, key)
    target = without_in_force(target, done.remove)
    if done.secret is not None:
        facts = bound_secrets.with_rollout(target.facts, done.secret, is_in_force=True)
        target = replace(target, facts=facts)
    target = replace(target, holds=add_holds(target.holds, undone, done.deployment_id))
    rows: list[Row] = [
        alert_cleared(ended, target, done.tenant_id, now)
        for ended in alerts.ended_alerts(known.target, target)
    ]
    if missed := missed_by(done, unit.components, target):
        rows.append(Send(service, missed, project=done.project_id))
    completion = Completion(done.status)
    return last_step(
        completion, operation, known, done, target, ctx, rows, action="CompleteDeployment"
    )


def _undone(done: Deployment) -> tuple[ReleasedComponent, ...]:
    """Return the units that a completed rollback took out of force.

    One that differs only in versions of secrets is not among them: a rotation brings it again.
    """
    if done.kind is not DeploymentKind.ROLLBACK:
        return ()
    back = [*map(bound_secrets.without_versions, done.released_components)]
    return tuple(
        each
        for each in done.previous
        if rejected_components([bound_secrets.without_versions(each)], back)
    )


def _holds(
    done: Deployment, undone: Sequence[ReleasedComponent], now: datetime
) -> tuple[Hold, ...]:
    reason = Reason(code="RolledBack", message=f"undone by {done.deployment_id}")
    of = {
        "deployment_id": done.rolled_back_deployment_id,
        "release_ref": done.rolled_back_ref or done.release_ref,
    }
    return tuple(
        hold_of(component, done, reason, now).model_copy(update=of) for component in undone
    )


async def _with_endpoint(
    deployment: Deployment, component: ReleasedComponent, app: DeploymentsApp
) -> ReleasedComponent:
    live = await observe(component, deployment, app)
    endpoint = live.endpoint if live else None
    routing = component.routing.model_copy(update={"endpoint": endpoint})
    return component.model_copy(update={"endpoint": endpoint, "routing": routing})
