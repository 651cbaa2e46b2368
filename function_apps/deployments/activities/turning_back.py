"""The way back: the whole unit, in reverse order, to what was in force, with a proof and a hold."""

from dataclasses import replace

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import (
    WHOLE,
    component_of,
    remove_all_but,
    revision_is_ready,
    set_weights,
    watch,
)
from function_apps.deployments.activities.ending import prove
from function_apps.deployments.activities.errands import (
    ModuleOf,
    Problem,
    ProblemOf,
    RemainsOf,
    Retreat,
    change,
    holding,
    is_ended_by,
    observed,
    own,
    surface_of,
)
from function_apps.deployments.errors import CancelAsked, Overtaken
from function_apps.deployments.model import gates, telling, units
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.holds import add_holds, hold_of, rejected_units
from function_apps.deployments.model.states import BEFORE_APPLIED, CHANGING, ENDINGS, Change
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import (
    Dossier,
    decided,
    ended_operation,
    leaving,
    publish,
)
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.gates import Verdict
from shared.contracts.releases import ReleaseUnit
from shared.contracts.values import Reason
from shared.durable.steps import Step
from shared.messaging.legacy_unit_of_work import NOTHING, Decision
from shared.surfaces.observed_state import Phase

_NO_HOLD = frozenset({CancelAsked.code, Overtaken.code, "StaleFence"})
"""Codes of ends that say nothing against the unit."""


async def turn_back(of: ProblemOf, step: Step, app: DeploymentsApp) -> Retreat:
    """End it where nothing was applied, else commit that it goes back, under a new token.

    A deployment that another operation has taken over is left alone.
    """
    now = app.service.clock.now()
    retreats: list[Retreat] = []

    def decide(found: Dossier) -> Decision:
        retreats.clear()
        deployment = found.deployment
        if deployment.operation_id != step.operation_id or deployment.status in ENDINGS:
            retreats.append(Retreat(deployment.status))
            return NOTHING
        if deployment.status in BEFORE_APPLIED:
            ended, decision = _ended_early(found, of, step, app)
            retreats.append(Retreat(ended.status))
            return decision
        retreats.append(_retreat(deployment, app))
        if deployment.status not in CHANGING:
            return NOTHING
        target, token = targets.pass_on(
            found.target, deployment.deployment_id, deployment.operation_id
        )
        turned = evolve(
            deployment,
            Change.ROLLBACK_BEGUN,
            now,
            token=token,
            reason=_reason(deployment, of.problem),
            wait_name="",
            paused_at=None,
        )
        told = telling.step_changed(turned, len(turned.steps), "roll back", 0)
        operation = operations.begin_step(
            found.open_operation, "roll back", now, percent=90, detail=of.problem.message[:400]
        )
        row = publish(told, app, of.errand.scope, of.errand.cause(step), turned.project_id)
        return decided(Dossier(target, turned, operation), [row], "BeginRollback", {})

    await change(of.errand, step, app, decide)
    return retreats[0]


def _ended_early(
    found: Dossier, of: ProblemOf, step: Step, app: DeploymentsApp
) -> tuple[Deployment, Decision]:
    now = app.service.clock.now()
    is_cancelled = of.problem.code == CancelAsked.code
    ended = evolve(
        found.deployment,
        Change.CANCELLED if is_cancelled else Change.TURNED_DOWN,
        now,
        reason=_reason(found.deployment, of.problem),
        ended_at=now,
    )
    left = leaving(ended, found.target, app, of.errand.scope, of.errand.cause(step))
    operation = ended_operation(found.open_operation, ended, now)
    dossier = Dossier(left.target, ended, operation)
    return ended, decided(dossier, left.rows, "EndDeployment", {})


def _reason(deployment: Deployment, problem: Problem) -> EndReason:
    """Return why, with the gate and all its evidence where one decided."""
    failed = [one for one in deployment.steps if one.gates and one.verdict is not Verdict.PASS]
    if problem.code in {"GateFailed", "GateInconclusive"} and failed:
        verdict = Verdict.FAIL if problem.code == "GateFailed" else Verdict.INCONCLUSIVE
        return gates.reason_of(failed[-1], verdict)
    return EndReason(code=problem.code[:128], message=problem.message[:2048])


def _retreat(deployment: Deployment, app: DeploymentsApp) -> Retreat:
    modules = (*deployment.order, *deployment.remove)
    return Retreat(
        DeploymentStatus.ROLLING_BACK,
        modules[::-1],
        app.rules.ready_within.total_seconds(),
        (app.rules.gone_within + app.rules.rollout.drain).total_seconds(),
    )


async def restore(module: ModuleOf, step: Step, app: DeploymentsApp) -> bool:
    """Give all traffic back to what was in force, with its instances; return whether it has it.

    Where nothing was, no traffic goes there any more. Undoes `stop_old`, `shift_traffic` and
    `drain_old`.
    """
    deployment = await holding(module.errand, step, app)
    before = deployment.before(module.module)
    unit = before or deployment.released(module.module)
    if unit is None:
        return True
    surface, component = surface_of(unit, app), component_of(deployment, module.module)
    live = await observed(surface, component)
    if before is None:
        if live is not None and live.weights:
            await surface.set_weights(component, {}, step.fence(deployment.token))
        return True
    revision = live.revision(before.release_revision) if live else None
    if revision is None or revision.phase is Phase.DRAINING or revision.replicas < before.replicas:
        # Scaling may have raised the number since: never fewer than live.
        replicas = max(before.replicas, revision.replicas if revision else 0)
        spec = units.spec_of(
            before, deployment.environment_id, deployment.tenant_id, app.rules.rollout
        )
        await surface.apply(replace(spec, replicas=replicas), step.fence(deployment.token))

    async def is_ready() -> bool:
        return revision_is_ready(await observed(surface, component), before)

    if not await watch(is_ready, app):
        return False
    if before.port is not None:
        weights = {before.release_revision: WHOLE}
        await set_weights(surface, component, weights, deployment, step)
    return True


async def remove_candidate(module: ModuleOf, step: Step, app: DeploymentsApp) -> None:
    """Remove all but what is in force again. Undoes `apply_candidate`.

    Also where nothing is live a write leaves the new token, so that a late application of the
    interrupted rollout is refused.
    """
    deployment = await holding(module.errand, step, app)
    before, candidate = deployment.before(module.module), deployment.released(module.module)
    unit = candidate or before
    if unit is None:
        return
    kept = before.release_revision if before else None
    if candidate is not None:
        component = component_of(deployment, module.module)
        surface, fence = surface_of(candidate, app), step.fence(deployment.token)
        await surface.remove(component, candidate.release_revision, fence)
    await remove_all_but(kept, unit, deployment, step, app)


async def finish_rollback(of: RemainsOf, step: Step, app: DeploymentsApp) -> DeploymentStatus:
    """Prove what runs again, hold the rejected unit, and tell it; Failed when something is left."""
    deployment = await _open(of, step, app)
    if isinstance(deployment, DeploymentStatus):
        return deployment
    kept = tuple(deployment.previous)
    proof, departures = await prove(deployment, kept, app)
    remaining = (*of.remaining, *departures)
    restored = ReleaseUnit(
        components=kept,
        tenant_binding_revision=deployment.unit.tenant_binding_revision if deployment.unit else 0,
        removed=tuple(m for m in deployment.modules if deployment.before(m) is None),
    )
    now = app.service.clock.now()

    def decide(found: Dossier) -> Decision:
        if is_ended_by(found, step):
            return NOTHING
        current = own(found, step).deployment
        reason = current.reason
        assert reason is not None, current.deployment_id
        brought = current.unit.components if current.unit else ()
        why = Reason(code=reason.code, message=reason.message)
        rejected = () if reason.code in _NO_HOLD else rejected_units(brought, kept)
        ended = evolve(
            current,
            Change.RESTORE_FAILED if remaining else Change.RESTORED,
            now,
            proof=proof,
            restored=restored,
            holds=tuple(hold_of(each, current, why, now) for each in rejected),
            remaining=tuple(one[:2048] for one in remaining[:100]),
            ended_at=now,
        )
        held = add_holds(found.target.holds, rejected, ended.deployment_id)
        target = replace(found.target, holds=held)
        left = leaving(ended, target, app, of.errand.scope, of.errand.cause(step))
        operation = ended_operation(found.open_operation, ended, now)
        return decided(Dossier(left.target, ended, operation), left.rows, "FinishRollback", {})

    await change(of.errand, step, app, decide)
    return DeploymentStatus.FAILED if remaining else DeploymentStatus.ROLLED_BACK


async def _open(of: RemainsOf, step: Step, app: DeploymentsApp) -> Deployment | DeploymentStatus:
    """Return the deployment, or how it has ended when this operation has ended it already."""
    ended: list[DeploymentStatus] = []

    def decide(found: Dossier) -> Decision:
        ended.clear()
        if is_ended_by(found, step):
            ended.append(found.deployment.status)
        return NOTHING

    await change(of.errand, step, app, decide)
    return ended[0] if ended else await holding(of.errand, step, app)
