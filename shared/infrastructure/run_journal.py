"""The record of a run: every change of a stack's state, guarded by its version and its fence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shared.infrastructure.port import (
    Left,
    RunFailed,
    RunSucceeded,
    StackName,
    Step,
    StepOutcome,
)
from shared.infrastructure.run_rules import at_step, current_run, run_of, settled
from shared.infrastructure.state import Recorded, StackState, StackStates
from shared.kernel.errors import Stale, Unavailable
from shared.kernel.fence import Fence

SAVE_ATTEMPTS: Final = 5
"""As everywhere on the write path: who loses five races in a row is told to come back."""


class Journal:
    """Opens and closes steps; refuses who was overtaken or holds another run than the current."""

    def __init__(self, states: StackStates) -> None:
        self._states = states

    async def load(self, stack: StackName) -> StackState:
        return await self._states.load(stack)

    async def open(self, stack: StackName, step: Step, fence: Fence, doubtful: Recorded) -> bool:
        """Record, before a provider is called, what *step* is about to do.

        Returns False, and records nothing, when a second execution of the step has ended it.
        """

        def opened(state: StackState) -> StackState:
            now = at_step(state, step, fence)
            return now if step.index in run_of(now).done else now.with_resource(doubtful)

        return step.index not in run_of(await self.change(stack, opened)).done

    async def close(
        self, stack: StackName, step: Step, fence: Fence, recorded: Recorded | None
    ) -> None:
        def closed(state: StackState) -> StackState:
            now = at_step(state, step, fence)
            run = run_of(now)
            if step.index in run.done:
                return now
            now = now.with_resource(recorded) if recorded else now.without_resource(step.urn)
            return replace(now, run=replace(run, done=run.done | {step.index}))

        await self.change(stack, closed)

    async def leave(self, stack: StackName, step: Step, fence: Fence, left: Left) -> StepOutcome:
        def without(state: StackState) -> StackState:
            now = at_step(state, step, fence)
            run = run_of(now)
            if step.index in run.done:
                return now
            after = replace(run, done=run.done | {step.index}, left=(*run.left, left))
            return replace(now, run=after)

        await self.change(stack, without)
        return StepOutcome(step, left)

    async def succeed(self, stack: StackName, run_id: str, fence: Fence) -> None:
        """Record the end of a run whose steps are done, and the stack's outputs."""

        def ended(state: StackState) -> StackState:
            held = state.admit(fence)
            run = current_run(held, run_id)
            after = settled(held, held.graph)
            return after.with_end(run, RunSucceeded(after.outputs, run.left))

        await self.change(stack, ended)

    async def fail(self, stack: StackName, run_id: str, fence: Fence, end: RunFailed) -> None:
        """Record that the run ended early; what it did stays."""

        def ended(state: StackState) -> StackState:
            held = state.admit(fence)
            return held.with_end(current_run(held, run_id), end)

        await self.change(stack, ended)

    async def change(
        self, stack: StackName, change: Callable[[StackState], StackState]
    ) -> StackState:
        for _ in range(SAVE_ATTEMPTS):
            before = await self._states.load(stack)
            after = change(before)
            if after == before:
                return before
            try:
                return await self._states.save(after)
            except Stale:
                continue
        raise Unavailable(f"stack {stack}: others kept changing its state")
