"""The begin of the way back: whether there is one, and its plan, under a new token."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from function_apps.deployments import events
from function_apps.deployments.activities.inputs import (
    RollbackPlan,
)
from function_apps.deployments.activities.observe_surface import (
    live_components,
)
from function_apps.deployments.activities.start_failure import explained
from function_apps.deployments.errors import UnknownRelease
from function_apps.deployments.model import (
    analysis,
    interruption,
)
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.deployment_target import with_left_over
from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    CHANGING,
    RestoreFailed,
    refused,
)
from function_apps.deployments.model.unknown_releases import caught_up, unknown_revisions
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DEPLOYMENTS,
    DeploymentSet,
    commit_deployment_step,
    last_step,
    step,
)
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.gates import Verdict
from shared.contracts.releases import Proof, ReleaseUnit
from shared.contracts.strategies import StrategyKind
from shared.durable.activity import ActivityContext, FailureReason, Step
from shared.kernel.fence import StaleFence
from shared.kernel.ids import ModuleId
from shared.kernel.operation import Operation
from shared.surfaces.port import configured_surface

_UNPROVED: Final = Proof(instances=(), total=0, whole=False)


async def begin_rollback(
    reason: FailureReason, ctx: ActivityContext, app: DeploymentsApp
) -> RollbackPlan:
    """End it where nothing was applied, else commit that it goes back, under a new token.

    Where what runs is newer than the records, it ends and leaves that alone.
    """
    deployment = await app.service.work.load(DEPLOYMENTS, ctx.aggregate_id, ctx.tenant)
    why = await explained(reason, deployment, app)
    components = (*deployment.released_components, *deployment.previous)
    kinds = {each.compute_target for each in components} or {*app.surfaces}
    live = await live_components(
        deployment, [configured_surface(app.surfaces, kind) for kind in kinds]
    )

    def decide(known: DeploymentSet, operation: Operation) -> Step[RollbackPlan]:
        deployment = known.deployment
        unknown = unknown_revisions(known.target, live)
        # Whom this store gave no token: only a drain overtakes what is first in its queues.
        is_overtaken = reason.code == StaleFence.code and known.target.drain is None
        if unknown or is_overtaken:
            known = replace(known, target=caught_up(known.target, unknown))
        if deployment.status in BEFORE_APPLIED:
            return _rejected(known, why, operation, ctx)
        if (unknown or is_overtaken) and deployment.status in CHANGING:
            return _left_alone(known, why, unknown, operation, ctx)
        if deployment.status is DeploymentStatus.ROLLING_BACK:
            return Step(_rollback_plan(deployment, app), operation)
        if deployment.status not in CHANGING:
            return Step(RollbackPlan(deployment.status), operation)
        began, target = interruption.begin_rollback(
            deployment,
            known.target,
            _end_reason(deployment, why),
            deployment.operation_id,
            ctx.now(),
        )
        event = events.step_changed(began, len(began.steps), "roll back", 0)
        progress = operation.begin_step(
            "roll back", ctx.now(), percent=90, detail=reason.message[:400]
        )
        after = DeploymentSet(target, began)
        plan = _rollback_plan(began, app)
        return step(plan, progress, known, after, [event], action="BeginRollback")

    return await commit_deployment_step(ctx, app, decide)


def _rejected(
    known: DeploymentSet, reason: FailureReason, operation: Operation, ctx: ActivityContext
) -> Step[RollbackPlan]:
    why = _end_reason(known.deployment, reason)
    rejected = evolve(known.deployment, refused(why), ctx.now())
    plan = RollbackPlan(rejected.status)
    return last_step(plan, operation, known, rejected, known.target, ctx, action="EndDeployment")


def _left_alone(
    known: DeploymentSet,
    reason: FailureReason,
    unknown: Mapping[ModuleId, int],
    operation: Operation,
    ctx: ActivityContext,
) -> Step[RollbackPlan]:
    """End as Failed without a write: to go back would take away what is newer than the records."""
    why = _end_reason(known.deployment, reason)
    began, target = interruption.begin_rollback(
        known.deployment, known.target, why, known.deployment.operation_id, ctx.now()
    )
    left = UnknownRelease(unknown).message if unknown else reason.message
    nothing = ReleaseUnit(components=())
    failed = evolve(began, RestoreFailed(_UNPROVED, nothing, why, (), (left[:2048],)), ctx.now())
    plan = RollbackPlan(failed.status)
    target = with_left_over(target, failed.modules, failed.deployment_id)
    return last_step(plan, operation, known, failed, target, ctx, action="EndDeployment")


def _end_reason(deployment: Deployment, reason: FailureReason) -> EndReason:
    """Return why, with the gate and all its evidence where one decided."""
    failed = [step for step in deployment.steps if step.gates and step.verdict is not Verdict.PASS]
    if reason.code in {"GateFailed", "GateInconclusive"} and failed:
        verdict = Verdict.FAIL if reason.code == "GateFailed" else Verdict.INCONCLUSIVE
        decided = analysis.reason_of(failed[-1], verdict)
        return decided.model_copy(update={"message": reason.message[:2048]})
    return EndReason(code=reason.code[:128], message=reason.message[:2048])


def _rollback_plan(deployment: Deployment, app: DeploymentsApp) -> RollbackPlan:
    modules = (*deployment.order, *deployment.remove)
    return RollbackPlan(
        DeploymentStatus.ROLLING_BACK,
        modules[::-1],
        app.rules.ready_within.total_seconds(),
        (app.rules.gone_within + app.rules.rollout.drain).total_seconds(),
        app.rules.prove_within.total_seconds(),
        is_recreate=deployment.strategy.kind is StrategyKind.RECREATE,
    )
