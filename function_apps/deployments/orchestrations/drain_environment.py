"""Drain an environment that is being decommissioned."""

from datetime import timedelta
from typing import Final

from function_apps.deployments.activities.drain_environment import (
    acquire_drain_fence,
    begin_drain,
    cancel_page,
    drain_page,
    publish_drained,
    record_drain_failure,
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
    begin_drain: "changes nothing outside",
    cancel_page: "cannot be undone: its environment is decommissioned",
    acquire_drain_fence: "changes nothing outside",
    drain_page: "cannot be undone: the environment is decommissioned",
    publish_drained: "changes nothing outside",
    record_drain_failure: "changes nothing outside",
}
PAGES_MAX: Final = 40
"""1,000 services of one environment, 25 a page."""
_CANCEL_EVERY_S: Final = 5.0


def drain_environment(context: OrchestrationContext) -> Orchestration[str]:
    """Cancel the deployments on their way, remove the workloads, and publish that it is done.

    Instance id = operationId. Deployments that are rolling back get time to end; then the remaining
    workloads are removed under a higher token than theirs.
    """
    try:
        rollback_s = yield from call(context, begin_drain)
        yield from _cancel_all(context, rollback_s)
        token = yield from call(context, acquire_drain_fence)
        for _ in range(PAGES_MAX):
            if (yield from call(context, drain_page, token)):
                break
        yield from call(context, publish_drained)
    except (Refused, Unavailable, ActivityFailed) as problem:
        reason = FailureReason(problem.code, problem.message)
        yield from call(context, record_drain_failure, reason)
        return "Failed"
    return "Drained"


def _cancel_all(context: OrchestrationContext, within_s: float) -> Orchestration[None]:
    deadline = context.now + timedelta(seconds=within_s)
    for _ in range(PAGES_MAX):
        left = yield from call(context, cancel_page)
        if not left or context.now >= deadline:
            return
        yield from sleep(context, _CANCEL_EVERY_S)
