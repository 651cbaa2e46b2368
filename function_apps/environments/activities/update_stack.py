"""The activities of applying: plan, start the update, record its outputs."""

from datetime import datetime

import shared.kernel.operation as operations
from function_apps.environments import repository
from function_apps.environments.activities.stack_run import run_outputs
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import (
    Applied,
    PlanningBegan,
    ProvisioningBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.plan_environment import inputs_of, require_applicable
from shared.contracts.environments import ComputeTarget
from shared.durable.activity import ActivityContext, require_not_canceled, require_ownership
from shared.infrastructure.port import UpdatePlan
from shared.kernel.operation import Operation


async def begin_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Enter Planning where the environment is Requested; a retry and an update are there."""

    def decide(
        environment: RuntimeEnvironment, operation: Operation
    ) -> tuple[Operation, PlanningBegan | None]:
        planning = operations.begin_step(operation, "plan", ctx.now(), percent=5)
        is_new = environment.status is State.REQUESTED
        return planning, PlanningBegan() if is_new else None

    await repository.commit(ctx, app, decide, value=None)


async def plan_update(ctx: ActivityContext, app: EnvironmentsApp) -> str:
    """Return the hash of a plan without refusals, the approved one where one was approved.

    It is planned once: started again, the orchestration applies what was planned first.
    """
    if ctx.name in ctx.recorded:
        return str(ctx.recorded[ctx.name])
    require_not_canceled(ctx)
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    plan_hash = await require_applicable(environment, app)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> tuple[Operation, None]:
        return operations.begin_step(operation, "plan", ctx.now(), percent=5), None

    return await repository.commit(ctx, app, decide, value=plan_hash)


async def start_update(plan_hash: str, ctx: ActivityContext, app: EnvironmentsApp) -> datetime:
    """Start the planned update of the stack; return when that was first done.

    The engine knows a repeat by the operation.
    """
    if ctx.name not in ctx.recorded:
        require_not_canceled(ctx)
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    plan = UpdatePlan(inputs_of(environment), plan_hash)
    await app.engine.start(environment.run_id, plan, ctx.fence(environment))

    def decide(
        environment: RuntimeEnvironment, operation: Operation
    ) -> tuple[Operation, ProvisioningBegan | None]:
        applying = operations.begin_step(operation, "apply", ctx.now(), percent=10)
        is_planning = environment.status is State.PLANNING
        return applying, ProvisioningBegan() if is_planning else None

    return await repository.commit(ctx, app, decide, value=ctx.now())


async def complete_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record the stack's outputs and publish that the environment is usable."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    run = await run_outputs(environment, app)
    targets = tuple(ComputeTarget.model_validate(one) for one in run.outputs["computeTargets"])
    outputs = {name: str(value) for name, value in run.outputs.get("facts", {}).items()}

    def decide(environment: RuntimeEnvironment, operation: Operation) -> tuple[Operation, Applied]:
        result = {"environmentId": environment.environment_id}
        return operations.succeed(operation, result, ctx.now()), Applied(targets, outputs)

    await repository.commit(ctx, app, decide, value=None)
