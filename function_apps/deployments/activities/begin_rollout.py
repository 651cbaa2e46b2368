"""Takes a deployment out of its queues, and later past the point of no return."""

from dataclasses import replace

from function_apps.deployments import events
from function_apps.deployments.activities.inputs import (
    RolloutStart,
)
from function_apps.deployments.model import (
    module_queue,
    preconditions,
)
from function_apps.deployments.model.deployment import (
    admitted,
    evolve,
)
from function_apps.deployments.model.lifecycle import (
    BEFORE_APPLIED,
    RolloutBegan,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import (
    DeploymentSet,
    commit_deployment_step,
    load_owned_deployment,
    step,
)
from function_apps.deployments.use_cases.deploy import plan_context
from function_apps.deployments.use_cases.room_in_quotas import require_quota
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.strategies import StrategyKind
from shared.durable.activity import ActivityContext, Step
from shared.kernel.operation import Operation


async def start_rollout(ctx: ActivityContext, app: DeploymentsApp) -> RolloutStart:
    """Take the deployment to the head of its queues; one that still waits there does nothing.

    The deployment that leaves a queue starts the next; one that was forgotten is admitted here.
    """

    def decide(known: DeploymentSet, operation: Operation) -> Step[RolloutStart]:
        target, admitted_entries = module_queue.admit_ready(known.target)
        entry = target.entry(known.deployment.deployment_id)
        assert entry is not None, known.deployment.deployment_id
        status = known.deployment.status
        if not entry.token:
            return Step(RolloutStart(status, is_admitted=False), operation)
        is_back = status is DeploymentStatus.ROLLING_BACK
        name = "roll back" if is_back else "prepare"
        after = DeploymentSet(
            target if admitted_entries else known.target,
            admitted(known.deployment, entry.token, ctx.now()),
        )
        progress = operation.begin_step(name, ctx.now(), percent=1)
        start = RolloutStart(status, is_admitted=True, is_rolling_back=is_back)
        return step(start, progress, known, after, action="StartRollout")

    return await commit_deployment_step(ctx, app, decide, is_recorded=False)


async def begin_rollout(ctx: ActivityContext, app: DeploymentsApp) -> None:
    """Commit that instances are going to change: from here on the way out is a rollback.

    Raises:
        EnvironmentNotUsable, BindingSuspended, IsolationBreached, Held, NotInForce.
        CannotStart: of a recreate, the whole quota has no room for it.
    """
    deployment = await load_owned_deployment(ctx, app)
    is_recreate = deployment.strategy.kind is StrategyKind.RECREATE
    if is_recreate and deployment.status in BEFORE_APPLIED:
        context = await plan_context((), deployment.environment_id, ctx, app)
        await require_quota(deployment, context.capabilities, app)

    def decide(known: DeploymentSet, operation: Operation) -> Step[None]:
        if known.deployment.status not in BEFORE_APPLIED:
            return Step(None, operation)
        preconditions.require_admission(
            known.deployment, known.deployment.released_components, known.target
        )
        began = evolve(known.deployment, RolloutBegan(), ctx.now())
        event = events.step_changed(began, 0, "apply", 0)
        progress = operation.begin_step("apply candidate", ctx.now(), percent=10)
        after = replace(known, deployment=began)
        return step(None, progress, known, after, [event], action="BeginRollout")

    await commit_deployment_step(ctx, app, decide, is_recorded=False)
