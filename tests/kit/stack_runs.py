"""Runs of a stack from start to end, for tests that have no orchestration to poll."""

from typing import Final

from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import (
    DestroyPlan,
    InfrastructureEngine,
    RunFailed,
    RunId,
    RunInProgress,
    RunStatus,
    RunSucceeded,
    StackName,
    StackPlan,
    UpdatePlan,
)
from shared.kernel.fence import Fence
from tests.kit.virtual_time import LoopClock

LOOK_S: Final = 0.01
LOOKS_MAX: Final = 12_000
"""Two minutes on a machine that is busy with other tests."""


async def run_to_end(
    engine: InfrastructureEngine, run_id: RunId, plan: StackPlan, fence: Fence
) -> RunStatus:
    """Start *run_id* and return how it ended."""
    await engine.start(run_id, plan, fence)
    return await end_of(engine, run_id)


async def end_of(engine: InfrastructureEngine, run_id: RunId) -> RunStatus:
    for _ in range(LOOKS_MAX):
        status = await engine.observe(run_id)
        if not isinstance(status, RunInProgress):
            return status
        await LoopClock().sleep(LOOK_S)
    raise AssertionError(f"{run_id} does not end: {status}")


async def update(
    engine: InfrastructureEngine, stack: StackName, inputs: EnvironmentInputs, fence: Fence
) -> RunSucceeded:
    """Preview *inputs* and bring *stack* to them."""
    preview = await engine.preview(stack, inputs)
    plan = UpdatePlan(inputs, preview.plan_hash)
    return succeeded(await run_to_end(engine, RunId(stack, fence.operation), plan, fence))


async def destroy(
    engine: InfrastructureEngine, stack: StackName, fence: Fence, plan: DestroyPlan | None = None
) -> RunSucceeded:
    run_id = RunId(stack, fence.operation)
    return succeeded(await run_to_end(engine, run_id, plan or DestroyPlan(), fence))


def succeeded(status: RunStatus) -> RunSucceeded:
    assert isinstance(status, RunSucceeded), status
    return status


def failed(status: RunStatus) -> RunFailed:
    assert isinstance(status, RunFailed), status
    return status
