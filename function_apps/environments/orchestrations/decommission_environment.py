"""Decommission an environment: wait for the drain, then destroy the stack."""

from typing import Final

from function_apps.environments.activities.destroy_stack import (
    await_drain,
    complete_destroy,
    start_destroy,
    supersede_run,
)
from function_apps.environments.activities.observe_run import (
    cancel_run,
    observe_run,
    record_failure,
)
from function_apps.environments.orchestrations.wait_for_run import wait_for_run
from shared.durable.activity import FailureReason
from shared.durable.orchestration import (
    ActivityFailed,
    Orchestration,
    OrchestrationContext,
    UndoTable,
    call,
    wait_for,
)
from shared.kernel.errors import Refused, Unavailable

UNDO: Final[UndoTable] = {
    supersede_run: "not undone: the decommissioning replaces the update",
    await_drain: "changes nothing outside",
    start_destroy: cancel_run,
    observe_run: "changes nothing outside",
    complete_destroy: "changes nothing outside",
    cancel_run: "not undone: `remaining` names what was not deleted",
    record_failure: "changes nothing outside",
}


def decommission_environment(context: OrchestrationContext) -> Orchestration[str]:
    """Wait until deployments has drained the environment, or for ten minutes, then destroy.

    A run that ended well is recorded as that, however long the engine is away meanwhile.
    """
    # Not a failure of this one: while that run cannot be ended, recovery starts it again.
    yield from call(context, supersede_run)
    try:
        drain = yield from call(context, await_drain)
        if drain.until is not None:
            yield from wait_for(context, drain.wait_name, drain.until)
        started_at = yield from call(context, start_destroy)
        yield from wait_for_run(context, started_at)
    except (Refused, Unavailable, ActivityFailed) as problem:
        yield from call(context, cancel_run)
        yield from call(context, record_failure, FailureReason(problem.code, problem.message))
        return "Failed"
    yield from call(context, complete_destroy)
    return "Decommissioned"
