"""The activities that every run of a stack has: follow it, cancel it, and record a failure."""

from collections.abc import Sequence
from itertools import takewhile

from function_apps.environments.activities.inputs import RunProgress
from function_apps.environments.activities.stack_run import end_run
from function_apps.environments.model.environment import RuntimeEnvironment, failure
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, step
from shared.contracts.values import Reason
from shared.durable.activity import (
    REASON_MAX,
    ActivityContext,
    FailureReason,
    Step,
    commit_step,
    load_owned,
)
from shared.infrastructure.port import (
    NOT_STARTED,
    RUN_CANCELED,
    RunFailed,
    RunInProgress,
    RunStatus,
    RunSucceeded,
)
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.observation import Unknown
from shared.kernel.operation import CANCELED, Operation

_PERCENT_FIRST, _PERCENT_LAST = 10, 95


async def observe_run(ctx: ActivityContext, app: EnvironmentsApp) -> RunProgress:
    """Watch the run for a while and record its progress; a caller's cancel is passed on.

    Raises:
        Refused: the run failed, with its code and message.
        Unavailable: the engine cannot say how the run stands.
    """
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    clock, run_id = app.service.clock, environment.run_id
    until_s = clock.monotonic_s() + app.rules.observe_for_s
    shown: RunStatus | None = None
    while True:
        status = await app.engine.observe(run_id)
        if not isinstance(status, RunInProgress):
            await _record_end(status, ctx, app)
            return _end(status)
        if status != shown and await _record_progress(status, ctx, app):
            await app.engine.cancel(run_id, ctx.fence(environment))
        shown = status
        if clock.monotonic_s() >= until_s:
            return RunProgress(is_done=False)
        await clock.sleep(app.rules.observe_every_s)


def _end(status: RunSucceeded | RunFailed | Unknown) -> RunProgress:
    match status:
        case RunSucceeded():
            return RunProgress(is_done=True)
        case RunFailed(code, message):
            raise Refused(message, code=code)
        case Unknown(reason):
            raise Unavailable(reason)


async def _record_progress(
    progress: RunInProgress, ctx: ActivityContext, app: EnvironmentsApp
) -> bool:
    """Record *progress* in the operation; return whether a caller asked for a cancel."""
    span = _PERCENT_LAST - _PERCENT_FIRST
    percent = _PERCENT_FIRST + span * progress.steps_done // max(1, progress.steps_total)
    name, detail = progress.current_step, progress.trouble or None

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Step[bool]:
        caught_up = _with_steps(operation, progress.steps, percent, ctx)
        begun = caught_up.begin_step(name, ctx.now(), percent=percent, detail=detail)
        return Step(operation.cancel_requested, begun)

    return await commit_step(ctx, app, ENVIRONMENTS, decide, is_recorded=False)


async def _record_end(
    status: RunSucceeded | RunFailed | Unknown, ctx: ActivityContext, app: EnvironmentsApp
) -> None:
    """Record the steps that were done since the last look."""
    if isinstance(status, Unknown):
        return
    steps = status.steps

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Step[None]:
        return Step(None, _with_steps(operation, steps, _PERCENT_LAST, ctx))

    await commit_step(ctx, app, ENVIRONMENTS, decide, is_recorded=False)


def _with_steps(
    operation: Operation, done: Sequence[str], percent: int, ctx: ActivityContext
) -> Operation:
    """Return *operation* with those of *done* that came after the last one it has."""
    recorded = {step.name for step in operation.steps}
    after = list(takewhile(lambda name: name not in recorded, reversed(done)))
    for name in reversed(after):
        operation = operation.begin_step(name, ctx.now(), percent=percent)
    return operation


async def cancel_run(ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """End the run before its failure is recorded: nothing goes on for an ended operation."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    await end_run(environment.run_id, ctx.fence(environment), app)


async def record_failure(reason: FailureReason, ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record why the run ended and which resources are not as planned."""
    environment = await load_owned(ENVIRONMENTS, ctx, app)
    remaining = await _remaining(environment, app)
    is_by_caller = reason.code == RUN_CANCELED and ctx.is_cancel_requested
    code = CANCELED if is_by_caller else reason.code
    shown = Reason(code=code, message=reason.message[:REASON_MAX])

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Step[None]:
        if shown.code == CANCELED:
            ended = operation.cancel(ctx.now())
        else:
            ended = operation.fail(shown.code, shown.message, ctx.now())
        return step(None, ended, environment, failure(environment, shown, remaining), ctx)

    await commit_step(ctx, app, ENVIRONMENTS, decide)


async def _remaining(environment: RuntimeEnvironment, app: EnvironmentsApp) -> Sequence[str]:
    """Return what the run left not as planned; without a run, what was known before.

    Raises:
        Unavailable: the run is not known to have ended.
    """
    match await app.engine.observe(environment.run_id):
        case RunFailed(code, _, left) if code != NOT_STARTED:
            return [resource.urn for resource in left]
        case RunFailed() | RunSucceeded():
            return environment.remaining
        case RunInProgress() | Unknown():
            raise Unavailable(f"the run of {environment.environment_id} is not known to have ended")
