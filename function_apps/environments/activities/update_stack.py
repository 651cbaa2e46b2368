"""The activities of applying: plan, start the update, record its outputs."""

import shared.kernel.operation as operations
from function_apps.environments import repository
from function_apps.environments.activities.observe_run import run_id_of, run_outputs
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import (
    Applied,
    PlanningBegan,
    ProvisioningBegan,
    State,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import Change
from function_apps.environments.use_cases.plan_environment import inputs_of, require_applicable
from shared.contracts.environments import ComputeTarget
from shared.durable.activity import ActivityContext, require_ownership
from shared.infrastructure.port import UpdatePlan
from shared.kernel.operation import Operation


async def begin_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Enter Planning where the environment is Requested; a retry and an update are there."""

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        planning = operations.begin_step(operation, "plan", ctx.now(), percent=5)
        is_new = environment.status is State.REQUESTED
        return Change(planning, [PlanningBegan()] if is_new else [])

    await repository.commit(ctx, app, decide, value=None)


async def plan_update(ctx: ActivityContext, app: EnvironmentsApp) -> str:
    """Return the hash of a plan without refusals, the approved one where one was approved."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    return await require_applicable(environment, app)


async def start_update(plan_hash: str, ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Start the planned update of the stack; the engine knows a repeat by the operation."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    plan = UpdatePlan(inputs_of(environment), plan_hash)
    await app.engine.start(run_id_of(environment), plan, ctx.fence(environment))

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        applying = operations.begin_step(operation, "apply", ctx.now(), percent=10)
        is_planning = environment.status is State.PLANNING
        return Change(applying, [ProvisioningBegan()] if is_planning else [])

    await repository.commit(ctx, app, decide, value=None)


async def complete_apply(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record the stack's outputs and publish that the environment is usable."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    run = await run_outputs(environment, app)
    targets = tuple(ComputeTarget.model_validate(one) for one in run.outputs["computeTargets"])
    outputs = {name: str(value) for name, value in run.outputs.get("facts", {}).items()}

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        result = {"environmentId": environment.environment_id}
        succeeded = operations.succeed(operation, result, ctx.now())
        return Change(succeeded, [Applied(targets, outputs)])

    await repository.commit(ctx, app, decide, value=None)
