"""The order of steps of applying and decommissioning an environment, and nothing else.

Instance id = operationId; each ends at once if that operation has ended.
"""

from datetime import timedelta
from typing import Final

from function_apps.environments.activities import (
    ApprovedPlan,
    Ending,
    Failure,
    Piece,
    PlannedRun,
    Work,
    apply_piece,
    await_drain,
    begin_apply,
    begin_destroy,
    begin_work,
    conclude_apply,
    conclude_destroy,
    drain_seconds,
    plan_apply,
    record_failure,
    work_of,
)
from shared.durable.steps import OrchestrationTable, StepFailed, Steps, Story, call, wait_for
from shared.kernel.errors import Refused, Unavailable


class Cancelled(Exception):
    """Someone asked for the operation to stop, and it did, between two steps."""


def apply_environment(story: Story) -> Steps[str]:
    """Plan, then bring one resource after the other to where the plan has it.

    A failure keeps what is there and says so; the next run starts from it.
    """
    work = work_of(story.context.get_input())
    begun = yield from call(story, begin_work, work)
    if not begun.goes_on:
        return "AlreadyEnded"
    try:
        plan_hash = yield from call(story, plan_apply, work)
        run = yield from call(story, begin_apply, ApprovedPlan(work, plan_hash))
        yield from _do_all(story, work, run)
        yield from call(story, conclude_apply, Ending(work, run.run_id))
    except (Refused, Unavailable, StepFailed, Cancelled) as problem:
        yield from call(story, record_failure, _failure(work, problem))
        return "Failed"
    return "Applied"


def decommission_environment(story: Story) -> Steps[str]:
    """Wait until deployments has drained the environment, or for ten minutes, then destroy."""
    work = work_of(story.context.get_input())
    begun = yield from call(story, begin_work, work)
    if not begun.goes_on:
        return "AlreadyEnded"
    try:
        if not begun.drained:
            nudge = yield from call(story, await_drain, work)
            wait_s = yield from call(story, drain_seconds, work)
            if wait_s:
                yield from wait_for(story, nudge, story.now + timedelta(seconds=wait_s))
        run = yield from call(story, begin_destroy, work)
        yield from _do_all(story, work, run)
        yield from call(story, conclude_destroy, Ending(work, run.run_id))
    except (Refused, Unavailable, StepFailed) as problem:
        yield from call(story, record_failure, _failure(work, problem))
        return "Failed"
    return "Decommissioned"


ORCHESTRATIONS: Final[OrchestrationTable] = {apply_environment: 1, decommission_environment: 1}


def _do_all(story: Story, work: Work, run: PlannedRun) -> Steps[None]:
    for position, step in enumerate(run.steps):
        done = yield from call(story, apply_piece, Piece(work, step, position, len(run.steps)))
        if done.cancelled:
            raise Cancelled


def _failure(work: Work, problem: Exception) -> Failure:
    match problem:
        case Refused() | Unavailable():
            return Failure(work, problem.code, problem.message)
        case Cancelled():
            return Failure(work, "Cancelled", "cancelled between two steps, as was asked")
        case _:
            return Failure(work, "StepFailed", str(problem))
