"""A whole run in one call, for callers that have no orchestration: tests, the command line."""

from collections.abc import Callable, Collection

from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import (
    Finished,
    InfrastructureEngine,
    Run,
    StackName,
    StepOutcome,
)
from shared.kernel.errors import Conflict
from shared.kernel.fence import Fence


class Cancelled(Conflict):
    """The caller asked to stop between two steps; what is done stays and is recorded."""

    code = "Cancelled"


def ignore(_outcome: StepOutcome) -> None:
    """Take no notice of progress."""


def never() -> bool:
    """Go on to the end."""
    return False


async def update(
    engine: InfrastructureEngine, stack: StackName, inputs: EnvironmentInputs, plan_hash: str,
    fence: Fence, *, on_progress: Callable[[StepOutcome], None] = ignore,
    is_cancelled: Callable[[], bool] = never,
) -> Finished:  # fmt: skip
    """Bring *stack* to the plan; call again with the same arguments after a kill."""
    run = await engine.begin_update(stack, inputs, plan_hash, fence)
    return await _steps(engine, stack, run, fence, on_progress, is_cancelled)


async def destroy(
    engine: InfrastructureEngine, stack: StackName, fence: Fence, *,
    retain: Collection[str] = (), unprotect: bool = False,
    on_progress: Callable[[StepOutcome], None] = ignore,
    is_cancelled: Callable[[], bool] = never,
) -> Finished:  # fmt: skip
    """Delete what can be deleted of *stack*; `Finished.left` is the rest, with reasons."""
    run = await engine.begin_destroy(stack, fence, retain=retain, unprotect=unprotect)
    return await _steps(engine, stack, run, fence, on_progress, is_cancelled)


async def _steps(
    engine: InfrastructureEngine, stack: StackName, run: Run, fence: Fence,
    on_progress: Callable[[StepOutcome], None], is_cancelled: Callable[[], bool],
) -> Finished:  # fmt: skip
    for step in run.remaining:
        if is_cancelled():
            raise Cancelled(f"stack {stack}: cancelled before {step.name}")
        on_progress(await engine.run_step(stack, step, fence))
    return await engine.finish(stack, run.id, fence)
