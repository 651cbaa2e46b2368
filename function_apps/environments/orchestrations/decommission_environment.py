"""Decommission an environment: wait for the drain, then destroy the stack."""

from datetime import timedelta
from typing import Final

from function_apps.environments.activities.destroy_stack import (
    await_drain,
    complete_destroy,
    start_destroy,
)
from function_apps.environments.activities.observe_run import observe_run, record_failure
from function_apps.environments.orchestrations.apply_environment import wait_for_run
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
    await_drain: "changes nothing outside",
    start_destroy: "cannot be undone: what was deleted is gone, the rest is named",
    observe_run: "changes nothing outside",
    complete_destroy: "changes nothing outside",
    record_failure: "changes nothing outside",
}


def decommission_environment(context: OrchestrationContext) -> Orchestration[str]:
    """Wait until deployments has drained the environment, or for ten minutes, then destroy."""
    try:
        drain = yield from call(context, await_drain)
        if drain.wait_s:
            until = context.now + timedelta(seconds=drain.wait_s)
            yield from wait_for(context, drain.wait_name, until)
        yield from call(context, start_destroy)
        yield from wait_for_run(context)
        yield from call(context, complete_destroy)
    except (Refused, Unavailable, ActivityFailed) as problem:
        yield from call(context, record_failure, FailureReason(problem.code, problem.message))
        return "Failed"
    return "Decommissioned"
