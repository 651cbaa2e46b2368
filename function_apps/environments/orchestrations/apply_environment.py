"""Apply an environment: plan, update the stack, publish its outputs."""

from datetime import timedelta
from typing import Final

from function_apps.environments.activities.observe_run import observe_run, record_failure
from function_apps.environments.activities.update_stack import (
    begin_apply,
    complete_apply,
    plan_update,
    start_update,
)
from shared.durable.activity import FailureReason
from shared.durable.orchestration import (
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    UndoTable,
    call,
    sleep,
)
from shared.kernel.errors import Refused, Unavailable

UNDO: Final[UndoTable] = {
    begin_apply: "changes nothing outside",
    plan_update: "changes nothing",
    start_update: "what a failed update made stays; the next run starts from it",
    observe_run: "changes nothing outside",
    complete_apply: "changes nothing outside",
    record_failure: "changes nothing outside",
}
RUN_MAX: Final = timedelta(hours=4)
"""The longest update of a stack: an API Management instance takes one hour, a gateway two."""
_POLL_S: Final = 5.0


def apply_environment(context: OrchestrationContext) -> Orchestration[str]:
    """Plan, then update the stack. A failure keeps what is there; the next run starts from it."""
    try:
        yield from call(context, begin_apply)
        plan_hash = yield from call(context, plan_update)
        yield from call(context, start_update, plan_hash)
        yield from wait_for_run(context)
        yield from call(context, complete_apply)
    except (Refused, Unavailable, ActivityFailed) as problem:
        yield from call(context, record_failure, FailureReason(problem.code, problem.message))
        return "Failed"
    return "Applied"


def wait_for_run(context: OrchestrationContext) -> Orchestration[None]:
    """Poll the run of the stack until it has ended well.

    Raises:
        Refused: it failed, or took longer than four hours.
    """
    deadline = context.now + RUN_MAX
    while True:
        progress = yield from call(context, observe_run)
        if progress.is_done:
            return
        if context.now >= deadline:
            raise Refused(f"the run of the stack took longer than {RUN_MAX}", code="RunTooLong")
        yield from sleep(context, _POLL_S)
