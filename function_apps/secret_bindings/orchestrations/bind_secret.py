"""Bind a secret: find or make its version, then tell of it."""

from typing import Final

from function_apps.secret_bindings.activities.first_version import (
    complete_binding,
    find_version,
    record_binding_failure,
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
    find_version: "not undone: a version that nobody was told of is in force nowhere, and the next"
    " binding of the secret takes it",
    complete_binding: "changes nothing outside",
    record_binding_failure: "changes nothing outside",
}


def bind_secret(context: OrchestrationContext) -> Orchestration[str]:
    """Give the binding a version. After a failure it is Failed, to be asked for again."""
    try:
        found = yield from call(context, find_version)
        yield from call(context, complete_binding, found)
    except (Refused, Unavailable, ActivityFailed) as problem:
        reason = FailureReason(problem.code, problem.message)
        yield from call(context, record_binding_failure, reason)
        return "Failed"
    return "Bound"
