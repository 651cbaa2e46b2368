"""Isolate a bound tenant: check that it is admitted, make its boundaries, tell of them."""

from typing import Final

from function_apps.environments.activities.isolate_tenant import (
    admit_tenant,
    complete_isolation,
    make_boundaries,
    record_isolation_failure,
)
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
    admit_tenant: "not undone: unbinding the tenant takes it back",
    make_boundaries: "not undone: unbinding the tenant deletes them",
    complete_isolation: "changes nothing outside",
    record_isolation_failure: "changes nothing outside",
}


def isolate_tenant(context: OrchestrationContext) -> Orchestration[str]:
    """Make what isolates the tenant. A failure leaves what was made: the next try begins there."""
    try:
        yield from call(context, admit_tenant)
        made = yield from call(context, make_boundaries)
        yield from call(context, complete_isolation, made)
    except (Refused, Unavailable, ActivityFailed) as problem:
        reason = FailureReason(problem.code, problem.message)
        yield from call(context, record_isolation_failure, reason)
        return "Failed"
    return "Applied"
