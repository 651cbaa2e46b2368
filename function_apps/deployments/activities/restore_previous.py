"""The way back: the whole unit, in reverse order, to what was in force, with a proof and a hold."""

from collections.abc import Collection
from dataclasses import replace

import shared.kernel.operation as operations
from function_apps.deployments.activities.changing import (
    component_of,
    remove_all_but,
    set_weights,
    watch,
)
from function_apps.deployments.activities.ending import prove, prove_within
from function_apps.deployments.activities.errands import (
    Going,
    ModuleOf,
    Problem,
    ProblemOf,
    RemainsOf,
    RemovalOf,
    Restoration,
    Retreat,
    change,
    holding,
    is_ended_by,
    observed,
    own,
    surface_of,
)
from function_apps.deployments.errors import CancelAsked, Overtaken
from function_apps.deployments.model import alerts, gates, telling, traffic, units
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
from shared.contracts.releases import ReleasedComponent, ReleaseUnit
from shared.contracts.values import Reason
from shared.durable.steps import Step
from shared.kernel.errors import Unavailable
from shared.messaging.legacy_unit_of_work import NOTHING, Decision
from shared.surfaces.errors import RouteTaken, SiteMissing

_NO_HOLD = frozenset(
    {
        CancelAsked.code,
        Overtaken.code,
        "StaleFence",
        RouteTaken.code,
        SiteMissing.code,
        Unavailable.code,
    }
)
"""Codes of ends that say nothing against the unit: a human's, another's, or the surface's."""


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
        app.rules.prove_within.total_seconds(),
    )


async def restore(module: ModuleOf, step: Step, app: DeploymentsApp) -> Restoration:
    """Give the traffic back to what was in force, with its instances; return how it stands.

    Where nothing was, no traffic goes there any more. Where what was is dead, the traffic stays on
    what is ready. Undoes `stop_old`, `shift_traffic` and `drain_old`.
    """
    deployment = await holding(module.errand, step, app)
    before = deployment.before(module.module)
    unit = before or deployment.released(module.module)
    if unit is None:
        return Restoration(Going.GO)
    surface, component = surface_of(unit, app), component_of(deployment, module.module)
    live = await observed(surface, component)
    if before is None:
        if live is not None and live.weights:
            await surface.set_weights(component, {}, step.fence(deployment.token))
        return Restoration(Going.GO)
    revision = live.revision(before.release_revision) if live else None
    if traffic.needs_apply(revision, before):
        # Scaling may have raised the number since: never fewer than live.
        replicas = max(before.replicas, revision.replicas if revision else 0)
        spec = units.spec_of(
            before, deployment.environment_id, deployment.tenant_id, app.rules.rollout
        )
        await surface.apply(replace(spec, replicas=replicas), step.fence(deployment.token))

    async def is_ready() -> bool:
        return traffic.is_whole(await observed(surface, component), before)

    await watch(is_ready, app)
    return await _give_back(deployment, before, step, app)


async def _give_back(
    deployment: Deployment, before: ReleasedComponent, step: Step, app: DeploymentsApp
) -> Restoration:
    """Give *before* what it carries, and say whether that is all, or when it never will be."""
    surface, component = surface_of(before, app), component_of(deployment, before.module_id)
    live = await observed(surface, component)
    if live is None:
        return Restoration(Going.OPEN, f"{before.module_id} is not live", is_dead=True)
    candidate = deployment.released(before.module_id)
    split = traffic.back(
        candidate.release_revision if candidate else None, before.release_revision, live
    )
    weights = live.weights if split is None else split.weights
    weights = {} if before.port is None else weights
    if weights != live.weights:
        await set_weights(surface, component, weights, deployment, step)
    if traffic.is_whole(live, before):
        return Restoration(Going.GO)
    revision = live.revision(before.release_revision)
    is_over = traffic.is_dead(revision, deployment.updated_at)
    ready, replicas = (revision.ready, revision.replicas) if revision else (0, before.replicas)
    stays = [f"{number} ({percent} %)" for number, percent in weights.items()]
    message = (
        f"{before.module_id}: {ready} of {replicas} instances of revision "
        f"{before.release_revision}, which was in force, are ready; the traffic is on revision "
        f"{', '.join(stays) or 'none'}"
    )
    return Restoration(Going.FAILED if is_over else Going.OPEN, message, is_dead=not ready)


async def remove_candidate(of: RemovalOf, step: Step, app: DeploymentsApp) -> None:
    """Remove all but what is in force again, or still serves. Undoes `apply_candidate`.

    Also where nothing is live a write leaves the new token, so that a late application of the
    interrupted rollout is refused.
    """
    deployment = await holding(of.errand, step, app)
    before, candidate = deployment.before(of.module), deployment.released(of.module)
    unit = candidate or before
    if unit is None:
        return
    surface, component = surface_of(unit, app), component_of(deployment, of.module)
    live = await observed(surface, component)
    previous = before.release_revision if before else None
    kept: Collection[int] = () if previous is None else {previous}
    if live is not None:
        rejected = candidate.release_revision if candidate else None
        kept = traffic.kept_revisions(live, rejected, previous, is_stranded=of.is_stranded)
    if candidate is not None:
        fence, number = step.fence(deployment.token), candidate.release_revision
        revision = live.revision(number) if live else None
        if number in kept and revision is not None:
            await surface.scale(component, number, revision.replicas, fence)
        else:
            await surface.remove(component, number, fence)
    await remove_all_but(kept, unit, deployment, step, app)


async def finish_rollback(
    of: RemainsOf, step: Step, app: DeploymentsApp
) -> DeploymentStatus | None:
    """Prove what runs again, hold the rejected unit, and tell it; Failed when something is left.

    None while the proof departs and another one may be asked.
    """
    deployment = await _open(of, step, app)
    if isinstance(deployment, DeploymentStatus):
        return deployment
    kept = tuple(one for one in deployment.previous if one.module_id not in of.stranded)
    asks = prove if of.is_last else prove_within
    proof, departures = await asks(deployment, kept, app)
    if departures and not of.is_last:
        return None
    remaining = (*of.remaining, *departures)
    restored = ReleaseUnit(
        components=tuple(deployment.previous),
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
        rejected = () if reason.code in _NO_HOLD else rejected_units(brought, current.previous)
        ended = evolve(
            current,
            Change.RESTORE_FAILED if remaining else Change.RESTORED,
            now,
            proof=proof,
            restored=restored,
            reason=_with_stranded(reason, of),
            holds=tuple(hold_of(each, current, why, now) for each in rejected),
            remaining=tuple(one[:2048] for one in remaining[:100]),
            ended_at=now,
        )
        target = replace(
            found.target,
            holds=add_holds(found.target.holds, rejected, ended.deployment_id),
            modules=alerts.marked(found.target, of.stranded, now),
        )
        cause = of.errand.cause(step)
        left = leaving(ended, target, app, of.errand.scope, cause)
        raised = [
            publish(alert, app, of.errand.scope, cause, ended.project_id)
            for alert in alerts.raised(ended, of.stranded, of.remaining, now)
        ]
        operation = ended_operation(found.open_operation, ended, now)
        rows = (*left.rows, *raised)
        return decided(Dossier(left.target, ended, operation), rows, "FinishRollback", {})

    await change(of.errand, step, app, decide)
    return DeploymentStatus.FAILED if remaining else DeploymentStatus.ROLLED_BACK


def _with_stranded(reason: EndReason, of: RemainsOf) -> EndReason:
    """Return *reason*, or that there was nothing to go back to, with all its evidence."""
    if not of.stranded:
        return reason
    message = "; ".join((reason.message, *of.remaining))[:2048]
    return reason.model_copy(update={"code": alerts.NOTHING_TO_GO_BACK_TO, "message": message})


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
