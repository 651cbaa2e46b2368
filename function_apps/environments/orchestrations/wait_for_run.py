"""The part that both orchestrations have: wait until the run of the stack has ended."""

from datetime import datetime, timedelta
from typing import Final

from function_apps.environments.activities.observe_run import observe_run
from shared.durable.orchestration import Orchestration, OrchestrationContext, call, sleep
from shared.infrastructure.port import RUN_CANCELED
from shared.kernel.errors import Refused, Unavailable

RUN_MAX: Final = timedelta(hours=4)
"""The longest update of a stack: an API Management instance takes one hour, a gateway two."""
_POLL_S: Final = 5.0


def wait_for_run(context: OrchestrationContext, started_at: datetime) -> Orchestration[None]:
    """Poll the run of the stack until it has ended well.

    Raises:
        Refused: it failed, or has not ended within four hours of *started_at*.
    """
    deadline = started_at + RUN_MAX
    try:
        while not (yield from _is_done(context)):
            if context.now >= deadline:
                raise _too_long()
            yield from sleep(context, _POLL_S)
    except Refused as ended:
        if ended.code == RUN_CANCELED and context.now >= deadline:
            # It was canceled for that before the operation was started again.
            raise _too_long() from ended
        raise


def _too_long() -> Refused:
    return Refused(f"the run of the stack took longer than {RUN_MAX}", code="RunTooLong")


def _is_done(context: OrchestrationContext) -> Orchestration[bool]:
    try:
        progress = yield from call(context, observe_run)
    except Unavailable:
        # An engine that is away says nothing about its run, which may well go on.
        return False
    return progress.is_done
