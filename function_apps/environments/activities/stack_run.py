"""The run of a stack: its result, and its cancellation; no activity of its own."""

from typing import Final

from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.ports import EnvironmentsApp
from shared.infrastructure.port import RunId, RunInProgress, RunSucceeded
from shared.kernel.errors import Unavailable
from shared.kernel.fence import Fence

_STEP_RETRY_S: Final = 60.0
"""A run ends between two of its steps, and a step may take an hour."""


async def run_outputs(environment: RuntimeEnvironment, app: EnvironmentsApp) -> RunSucceeded:
    """Return the end of a run that went well.

    Raises:
        Unavailable: the engine cannot say so now.
    """
    status = await app.engine.observe(environment.run_id)
    if not isinstance(status, RunSucceeded):
        raise Unavailable(f"the run of {environment.environment_id} is not known to have ended")
    return status


async def end_run(run_id: RunId, fence: Fence, app: EnvironmentsApp) -> None:
    """Cancel a run and watch that it ends; one that has ended stays as it is.

    One that is not there yet never starts.

    Raises:
        Unavailable: the engine is away, or the step at which the run ends takes longer.
        StaleFence: another operation holds the stack.
    """
    await app.engine.cancel(run_id, fence)
    clock = app.service.clock
    until_s = clock.monotonic_s() + app.rules.observe_for_s
    while isinstance(await app.engine.observe(run_id), RunInProgress):
        if clock.monotonic_s() >= until_s:
            message = f"run {run_id.name} of {run_id.stack} was canceled and ends after its step"
            raise Unavailable(message, retry_after_s=_STEP_RETRY_S)
        await clock.sleep(app.rules.observe_every_s)
