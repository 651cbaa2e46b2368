"""The order of steps of applying and decommissioning an environment, and nothing else.

Instance id = operationId; each ends at once if that operation has ended.
"""

from datetime import timedelta
from typing import Final

from function_apps.environments.activities import applying, decommissioning, running
from function_apps.environments.activities.errands import (
    ApprovedPlan,
    Ending,
    Failure,
    Piece,
    PlannedRun,
)
from function_apps.environments.use_cases.dossier import Errand
from shared.durable.steps import OrchestrationTable, StepFailed, Steps, Story, call, wait_for
from shared.kernel.errors import Refused, Unavailable


class Cancelled(Exception):
    """Someone asked for the operation to stop, and it did, between two steps."""


def apply_environment(story: Story) -> Steps[str]:
    """Plan, then bring one resource after the other to where the plan has it.

    A failure keeps what is there and says so; the next run starts from it.
    """
    errand = Errand.read(story.context.get_input())
    begun = yield from call(story, running.begin_work, errand)
    if not begun.goes_on:
        return "AlreadyEnded"
    try:
        plan_hash = yield from call(story, applying.plan_apply, errand)
        run = yield from call(story, applying.begin_apply, ApprovedPlan(errand, plan_hash))
        yield from _do_all(story, errand, run)
        yield from call(story, applying.conclude_apply, Ending(errand, run.run_id))
    except (Refused, Unavailable, StepFailed, Cancelled) as problem:
        yield from call(story, running.record_failure, _failure(errand, problem))
        return "Failed"
    return "Applied"


def decommission_environment(story: Story) -> Steps[str]:
    """Wait until deployments has drained the environment, or for ten minutes, then destroy."""
    errand = Errand.read(story.context.get_input())
    begun = yield from call(story, running.begin_work, errand)
    if not begun.goes_on:
        return "AlreadyEnded"
    try:
        nudge = yield from call(story, decommissioning.await_drain, errand)
        wait_s = yield from call(story, decommissioning.drain_seconds, errand)
        if wait_s:
            yield from wait_for(story, nudge, story.now + timedelta(seconds=wait_s))
        run = yield from call(story, decommissioning.begin_destroy, errand)
        yield from _do_all(story, errand, run)
        yield from call(story, decommissioning.conclude_destroy, Ending(errand, run.run_id))
    except (Refused, Unavailable, StepFailed) as problem:
        yield from call(story, running.record_failure, _failure(errand, problem))
        return "Failed"
    return "Decommissioned"


ORCHESTRATIONS: Final[OrchestrationTable] = {apply_environment: 1, decommission_environment: 1}


def _do_all(story: Story, errand: Errand, run: PlannedRun) -> Steps[None]:
    for position, step in enumerate(run.steps):
        done = yield from call(
            story, running.apply_piece, Piece(errand, step, position, len(run.steps))
        )
        if done.cancelled:
            raise Cancelled


def _failure(errand: Errand, problem: Exception) -> Failure:
    match problem:
        case Refused() | Unavailable():
            return Failure(errand, problem.code, problem.message)
        case Cancelled():
            return Failure(errand, "Cancelled", "cancelled between two steps, as was asked")
        case _:
            return Failure(errand, "StepFailed", str(problem))
