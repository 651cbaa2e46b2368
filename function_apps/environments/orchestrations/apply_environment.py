"""Apply an environment: plan, update the stack, publish its outputs."""

from typing import Final

from function_apps.environments.activities.observe_run import (
    cancel_run,
    observe_run,
    record_failure,
)
from function_apps.environments.activities.update_stack import (
    begin_apply,
    complete_apply,
    plan_update,
    start_update,
)
from function_apps.environments.orchestrations.wait_for_run import wait_for_run
from shared.durable.activity import FailureReason
from shared.durable.orchestration import (
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    UndoTable,
    call,
)
from shared.kernel.errors import Refused, Unavailable

UNDO: Final[UndoTable] = {
    begin_apply: "changes nothing outside",
    plan_update: "changes nothing outside",
    start_update: cancel_run,
    observe_run: "changes nothing outside",
    complete_apply: "changes nothing outside",
    cancel_run: "not undone: what a failed update made stays, and the next run starts from it",
    record_failure: "changes nothing outside",
}


def apply_environment(context: OrchestrationContext) -> Orchestration[str]:
    """Plan, then update the stack. A failure keeps what is there; the next run starts from it.

    A run that ended well is recorded as that, however long the engine is away meanwhile.
    """
    try:
        yield from call(context, begin_apply)
        plan_hash = yield from call(context, plan_update)
        started_at = yield from call(context, start_update, plan_hash)
        yield from wait_for_run(context, started_at)
    except (Refused, Unavailable, ActivityFailed) as problem:
        yield from call(context, cancel_run)
        yield from call(context, record_failure, FailureReason(problem.code, problem.message))
        return "Failed"
    yield from call(context, complete_apply)
    return "Applied"
