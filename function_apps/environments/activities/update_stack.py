"""The activities of applying: plan, start the update, record its outputs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from function_apps.environments.activities.stack_run import run_outputs
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import (
    Applied,
    PlanningBegan,
    ProvisioningBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, step
from function_apps.environments.use_cases.plan_environment import inputs_of, require_applicable
from shared.contracts.environments import ComputeTarget
from shared.durable.activity import (
    ActivityContext,
    Step,
    commit_step,
    load_owned,
    require_not_canceled,
)
from shared.infrastructure.port import UpdatePlan
from shared.kernel.operation import Operation


async def begin_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Enter Planning where the environment is Requested; a retry and an update are there."""

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Step[None]:
        planning = operation.begin_step("plan", ctx.now(), percent=5)
        event = PlanningBegan() if environment.status is State.REQUESTED else None
        return step(None, planning, environment, event, ctx)

    await commit_step(ctx, app, ENVIRONMENTS, decide)


async def plan_update(ctx: ActivityContext, app: EnvironmentsApp) -> str:
    """Return the hash of a plan without refusals, the approved one where one was approved.

    It is planned once: started again, the orchestration applies what was planned first. Of a repair
    what is live is read before, so that the plan has what somebody changed.
    """
    if ctx.name in ctx.recorded:
        return str(ctx.recorded[ctx.name])
    require_not_canceled(ctx)
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    if environment.is_repair:
        await app.engine.refresh(environment.stack, ctx.fence(environment))
    plan_hash = await require_applicable(environment, app)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Step[str]:
        return Step(plan_hash, operation.begin_step("plan", ctx.now(), percent=5))

    return await commit_step(ctx, app, ENVIRONMENTS, decide)


async def start_update(plan_hash: str, ctx: ActivityContext, app: EnvironmentsApp) -> datetime:
    """Start the planned update of the stack; return when that was first done.

    The engine knows a repeat by the operation.
    """
    if ctx.name not in ctx.recorded:
        require_not_canceled(ctx)
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    plan = UpdatePlan(inputs_of(environment), plan_hash)
    await app.engine.start(environment.run_id, plan, ctx.fence(environment))

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Step[datetime]:
        applying = operation.begin_step("apply", ctx.now(), percent=10)
        event = ProvisioningBegan() if environment.status is State.PLANNING else None
        return step(ctx.now(), applying, environment, event, ctx)

    return await commit_step(ctx, app, ENVIRONMENTS, decide)


async def complete_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record the stack's outputs and publish that the environment is usable."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    run = await run_outputs(environment, app)
    targets = tuple(_with_capabilities(each, app) for each in run.outputs["computeTargets"])
    outputs = {name: str(value) for name, value in run.outputs.get("facts", {}).items()}

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Step[None]:
        result = {"environmentId": environment.environment_id}
        succeeded = operation.succeed(result, ctx.now())
        return step(None, succeeded, environment, Applied(targets, outputs), ctx)

    await commit_step(ctx, app, ENVIRONMENTS, decide)


def _with_capabilities(output: Mapping[str, Any], app: EnvironmentsApp) -> ComputeTarget:
    """Return the target that the stack made, with what its surface can do."""
    target = ComputeTarget.model_validate(output)
    surface = app.surfaces.get(target.kind)
    if surface is None:
        return target
    able = tuple(each.value for each in surface.capabilities().features)
    return target.model_copy(update={"capabilities": able})
