"""The activities of decommissioning: wait for the drain, destroy, say what was left."""

import shared.kernel.operation as operations
from function_apps.environments import repository
from function_apps.environments.activities.inputs import DrainWait
from function_apps.environments.activities.observe_run import run_id_of, run_outputs
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import Destroyed, DestroyFailed
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import Change
from function_apps.environments.use_cases.record_drained import drained_event
from shared.contracts.values import Reason
from shared.durable.activity import ActivityContext, require_ownership
from shared.infrastructure.port import DestroyPlan
from shared.kernel.operation import Operation

KEPT_CODES = frozenset({"Retained", "HeldBy"})
"""Codes of resources that were to stay, or that such a one needs."""


async def await_drain(ctx: ActivityContext, app: EnvironmentsApp) -> DrainWait:
    """Commit the name of the event that is waited for; return it, and how long to wait."""
    name = drained_event(ctx.operation_id)

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        begun = operations.begin_step(operation, "drain", ctx.now(), percent=10)
        return Change(operations.wait(begun, "drain", name, ctx.now()))

    wait_s = app.rules.drain_timeout.total_seconds()
    wait = await repository.commit(ctx, app, decide, value=DrainWait(name, wait_s))
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    return DrainWait(name, 0.0) if environment.drained else wait


async def start_destroy(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Start the destruction of the stack, last resource first."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    plan = DestroyPlan(retain=environment.retain, unprotect=True)
    await app.engine.start(run_id_of(environment), plan, ctx.fence(environment))

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        return Change(operations.begin_step(operation, "destroy", ctx.now(), percent=30))

    await repository.commit(ctx, app, decide, value=None)


async def complete_destroy(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record what is gone; a resource that was to go and is there makes it a failure."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    run = await run_outputs(environment, app)
    retained = tuple(left.urn for left in run.left if left.code in KEPT_CODES)
    stuck = [left for left in run.left if left.code not in KEPT_CODES]
    message = "; ".join(f"{left.name}: {left.reason}" for left in stuck)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        if stuck:
            reason = Reason(code="DestroyFailed", message=message[:500])
            failed = operations.fail(operation, "DestroyFailed", message, ctx.now())
            return Change(failed, [DestroyFailed(reason, tuple(left.urn for left in stuck))])
        result = {"environmentId": environment.environment_id, "retained": list(retained)}
        succeeded = operations.succeed(operation, result, ctx.now())
        return Change(succeeded, [Destroyed(retained)])

    await repository.commit(ctx, app, decide, value=None)
