"""The activities that every run of a stack has: follow it to its end, and record a failure."""

from collections.abc import Sequence

import shared.kernel.operation as operations
from function_apps.environments import repository
from function_apps.environments.activities.inputs import RunProgress
from function_apps.environments.model.environment import RuntimeEnvironment, failure
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import Change
from shared.contracts.values import Reason
from shared.durable.activity import ActivityContext, FailureReason, require_ownership
from shared.infrastructure.port import (
    RunFailed,
    RunId,
    RunInProgress,
    RunStatus,
    RunSucceeded,
    StackName,
)
from shared.kernel.errors import Refused, Unavailable
from shared.kernel.observation import Absent, Present, Unknown
from shared.kernel.operation import Operation

CANCELED = "Canceled"
REASON_MAX = 500
"""A reason is a sentence for people; the log has the rest."""
_PERCENT_FIRST, _PERCENT_LAST = 10, 95


def run_id_of(environment: RuntimeEnvironment) -> RunId:
    """Return the run of the operation that owns *environment*; a repeated start is the same run."""
    return RunId(StackName(environment.stack), environment.operation_id)


async def observe_run(ctx: ActivityContext, app: EnvironmentsApp) -> RunProgress:
    """Watch the run for a while and record its progress; a caller's cancel is passed on.

    Raises:
        Refused: the run failed, with its code and message.
        Unavailable: the engine cannot say how the run stands.
    """
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    require_ownership(environment, ctx)
    clock, run_id = app.service.clock, run_id_of(environment)
    until_s = clock.monotonic_s() + app.rules.observe_for_s
    shown: RunStatus | None = None
    while True:
        status = await app.engine.observe(run_id)
        if not isinstance(status, RunInProgress):
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
    is_canceled = False

    def decide(_environment: RuntimeEnvironment, operation: Operation) -> Change:
        nonlocal is_canceled
        is_canceled = operation.cancel_requested
        name = progress.current_step or "apply"
        return Change(operations.begin_step(operation, name, ctx.now(), percent=percent))

    await repository.commit(ctx, app, decide, value=None, key=None)
    return is_canceled


async def run_outputs(environment: RuntimeEnvironment, app: EnvironmentsApp) -> RunSucceeded:
    """Return the end of a run that went well.

    Raises:
        Unavailable: the engine cannot say so now.
    """
    status = await app.engine.observe(run_id_of(environment))
    if not isinstance(status, RunSucceeded):
        raise Unavailable(f"the run of {environment.environment_id} is not known to have ended")
    return status


async def record_failure(reason: FailureReason, ctx: ActivityContext, app: EnvironmentsApp) -> None:
    """Record why the run ended and which resources are there and not as planned."""
    environment = await repository.load(ctx.aggregate_id, ctx, app)
    remaining = await _remaining(environment, app)

    def decide(environment: RuntimeEnvironment, operation: Operation) -> Change:
        shown = Reason(code=reason.code, message=reason.message[:REASON_MAX])
        events = [failure(environment, shown, remaining)]
        if reason.code == CANCELED:
            return Change(operations.cancel(operation, ctx.now()), events)
        failed = operations.fail(operation, reason.code, reason.message, ctx.now())
        return Change(failed, events)

    await repository.commit(ctx, app, decide, value=None)


async def _remaining(environment: RuntimeEnvironment, app: EnvironmentsApp) -> Sequence[str]:
    """Return the recorded resources; without an answer, those known before."""
    match await app.engine.read(StackName(environment.stack)):
        case Present(stack):
            return [resource.urn for resource in stack.resources]
        case Absent():
            return []
        case Unknown():
            return environment.remaining
