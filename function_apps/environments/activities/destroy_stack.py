"""The activities of decommissioning: wait for the drain, destroy, say what was left."""

from datetime import datetime
from typing import Final

from function_apps.environments.activities.inputs import DrainWait
from function_apps.environments.activities.stack_run import end_run, run_outputs
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.model.lifecycle import Destroyed, DestroyFailed
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, step
from function_apps.environments.use_cases.record_drained import drained_event
from shared.contracts.values import Reason
from shared.durable.activity import (
    REASON_MAX,
    ActivityContext,
    Step,
    commit_step,
    load_owned,
)
from shared.infrastructure.port import DestroyPlan, RunId
from shared.kernel.operation import Operation

KEPT_CODES: Final = frozenset({"Retained", "HeldBy"})
"""Codes of resources that were to stay, or that such a one needs."""


async def supersede_run(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """End the run of the operation that this one took over from, before the drain begins."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    if environment.superseded is not None:
        run_id = RunId(environment.stack, environment.superseded)
        await end_run(run_id, ctx.fence(environment), app)


async def await_drain(ctx: ActivityContext, app: EnvironmentsApp) -> DrainWait:
    """Commit the name of the event that is waited for; return it, and until when to wait.

    The wait begins once: started again, the orchestration waits for what is left of it.
    """
    name = drained_event(ctx.operation_id)

    until = ctx.now() + app.rules.drain_timeout

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Step[DrainWait]:
        begun = operation.begin_step("drain", ctx.now(), percent=10)
        waiting = begun.wait("drain", name, ctx.now())
        return Step(DrainWait(name, until), waiting)

    wait = await commit_step(ctx, app, ENVIRONMENTS, decide)
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    return DrainWait(name, None) if environment.drained else wait


async def start_destroy(ctx: ActivityContext, app: EnvironmentsApp) -> datetime:
    """Start the destruction of the stack, last resource first; return when that was first done."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    plan = DestroyPlan(retain=environment.retain, unprotect=True)
    await app.engine.start(environment.run_id, plan, ctx.fence(environment))

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Step[datetime]:
        return Step(ctx.now(), operation.begin_step("destroy", ctx.now(), percent=30))

    return await commit_step(ctx, app, ENVIRONMENTS, decide)


async def complete_destroy(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record what is gone; a resource that was to go and is there makes it a failure."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    run = await run_outputs(environment, app)
    retained = tuple(left.urn for left in run.left if left.code in KEPT_CODES)
    stuck = [left for left in run.left if left.code not in KEPT_CODES]
    message = "; ".join(f"{left.name}: {left.reason}" for left in stuck)[:REASON_MAX]

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Step[None]:
        if stuck:
            reason = Reason(code="DestroyFailed", message=message)
            failed = operation.fail(reason.code, message, ctx.now())
            event = DestroyFailed(reason, tuple(left.urn for left in stuck))
            return step(None, failed, environment, event, ctx)
        result = {"environmentId": environment.environment_id, "retained": list(retained)}
        succeeded = operation.succeed(result, ctx.now())
        return step(None, succeeded, environment, Destroyed(retained), ctx)

    await commit_step(ctx, app, ENVIRONMENTS, decide)
