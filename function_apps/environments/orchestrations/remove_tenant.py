"""Remove a tenant from an environment: wait for the drain, delete its boundaries, tell of it."""

from typing import Final

from function_apps.environments.activities.isolate_tenant import record_isolation_failure
from function_apps.environments.activities.remove_tenant import (
    await_tenant_drain,
    complete_removal,
    remove_boundaries,
)
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
    await_tenant_drain: "changes nothing outside",
    remove_boundaries: "cannot be undone: the tenant is unbound",
    complete_removal: "changes nothing outside",
    record_isolation_failure: "changes nothing outside",
}


def remove_tenant(context: OrchestrationContext) -> Orchestration[str]:
    """Wait until deployments has drained the tenant, or for ten minutes; then delete its part."""
    try:
        drain = yield from call(context, await_tenant_drain)
        if drain.until is not None:
            yield from wait_for(context, drain.wait_name, drain.until)
        yield from call(context, remove_boundaries)
        yield from call(context, complete_removal)
    except (Refused, Unavailable, ActivityFailed) as problem:
        reason = FailureReason(problem.code, problem.message)
        yield from call(context, record_isolation_failure, reason)
        return "Failed"
    return "Removed"
