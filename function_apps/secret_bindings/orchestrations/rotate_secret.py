"""Rotate a secret: create, set, test, bring one consumer over, then all; wait, and revoke."""

from typing import Final

from function_apps.secret_bindings.activities.change_over import (
    begin_overlap,
    move_bindings,
    roll_out,
)
from function_apps.secret_bindings.activities.create_version import (
    create_version,
    set_at_resource,
    test_version,
)
from function_apps.secret_bindings.activities.revoke_versions import (
    complete_rotation,
    record_rotation_failure,
    retire_logins,
    revoke_versions,
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
    create_version: "not undone: the next rotation disables it",
    set_at_resource: "not undone: a login that nobody was given; the next rotation retires it",
    test_version: "changes nothing outside",
    roll_out: "deployments stops its roll-outs; who proved the new version keeps it",
    move_bindings: "not undone: as those who proved it",
    begin_overlap: "changes nothing outside",
    retire_logins: "not undone: every consumer proved the new version before",
    revoke_versions: "not undone: every consumer proved the new version before",
    complete_rotation: "changes nothing outside",
    record_rotation_failure: "changes nothing outside",
}
ROUNDS_MAX: Final = 1000
"""Looks at the consumers: one whenever a deployment of one of them ends, and one in 30 s while a
withdrawal is not confirmed."""


def rotate_secret(context: OrchestrationContext) -> Orchestration[str]:
    """Change all consumers of a secret over to a new version, then disable the old ones.

    A failure leaves every version enabled, and so everybody with a valid one.
    """
    try:
        yield from call(context, create_version)
        yield from call(context, set_at_resource)
        yield from call(context, test_version)
        yield from _change_over(context)
        overlap = yield from call(context, begin_overlap)
        yield from wait_for(context, overlap.wait_name, overlap.until)
        # Whoever was bound, or rolled back to the old version, in the overlap follows first.
        yield from _change_over(context)
        while not (yield from call(context, retire_logins)):
            yield from _change_over(context)
        while not (yield from call(context, revoke_versions)):
            yield from _change_over(context)
    except (Refused, Unavailable, ActivityFailed) as problem:
        reason = FailureReason(problem.code, problem.message)
        yield from call(context, record_rotation_failure, reason)
        return "Failed"
    yield from call(context, complete_rotation)
    return "Revoked"


def _change_over(context: OrchestrationContext) -> Orchestration[None]:
    """Have consumers follow, a few at once, until each of them proved the new version.

    Raises:
        Refused: one does not follow.
    """
    for _ in range(ROUNDS_MAX):
        progress = yield from call(context, roll_out)
        if progress.until is None:
            yield from call(context, move_bindings)
            return
        yield from wait_for(context, progress.wait_name, progress.until)
    raise Refused(f"consumers did not follow within {ROUNDS_MAX} proofs", code="ProofMissing")
