"""Every change of a stack's state, guarded by its version and its fence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shared.infrastructure.errors import RunNotActive
from shared.infrastructure.port import (
    RemainingResource,
    RunFailed,
    RunId,
    RunSucceeded,
    StackName,
)
from shared.infrastructure.run_rules import settled
from shared.infrastructure.state import (
    RecordedResource,
    ResourceStep,
    RunEnd,
    StackRun,
    StackState,
    StackStates,
)
from shared.kernel.errors import Stale, Unavailable
from shared.kernel.fence import Fence

SAVE_ATTEMPTS: Final = 5
"""As everywhere on the write path: who loses five races in a row is told to come back."""


class StackRecords:
    """Loads and changes the states of stacks."""

    def __init__(self, states: StackStates) -> None:
        self._states = states

    async def load(self, stack: StackName) -> StackState:
        return await self._states.load(stack)

    async def change(
        self, stack: StackName, change: Callable[[StackState], StackState]
    ) -> StackState:
        """Save what *change* makes of the state; it may be asked again. Raises Unavailable."""
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


class RunJournal:
    """Records the steps and the end of one run, held by *fence*.

    Each method raises StaleFence after a newer fence, and RunNotActive when the run has ended.
    """

    def __init__(self, records: StackRecords, run_id: RunId, fence: Fence) -> None:
        self._records = records
        self._run_id = run_id
        self.fence = fence

    async def load(self) -> tuple[StackState, StackRun]:
        return self._held(await self._records.load(self._run_id.stack))

    async def open(self, step: ResourceStep, in_doubt: RecordedResource) -> bool:
        """Record, before a provider is called, what *step* is about to do.

        Returns False, and records nothing, when a second execution of the step has ended it.
        """

        def opened(state: StackState) -> StackState:
            held, run = self._held(state)
            return held if step.index in run.done else held.with_resource(in_doubt)

        after = await self._records.change(self._run_id.stack, opened)
        return step.index not in self._held(after)[1].done

    async def close(self, step: ResourceStep, recorded: RecordedResource | None) -> None:
        """Record that *step* is done and the resource as it is now, None when it is gone."""

        def closed(state: StackState, run: StackRun) -> StackState:
            state = state.with_resource(recorded) if recorded else state.without_resource(step.urn)
            return replace(state, run=run)

        await self._end_step(step, closed)

    async def leave(self, step: ResourceStep, left: RemainingResource) -> None:
        """Record that *step* is done, and its resource not."""
        await self._end_step(
            step, lambda state, run: replace(state, run=replace(run, left=(*run.left, left)))
        )

    async def succeed(self) -> None:
        """Record the end of the run, whose steps are done, and the stack's outputs."""

        def ended(state: StackState, run: StackRun) -> tuple[StackState, RunEnd]:
            after = settled(state, run.graph)
            return after, RunSucceeded(after.outputs, run.left)

        await self._end(ended)

    async def fail(self, end: RunFailed) -> None:
        """Record that the run ended early; what it did stays."""
        await self._end(lambda state, _run: (state, end))

    async def _end_step(
        self, step: ResourceStep, close: Callable[[StackState, StackRun], StackState]
    ) -> None:
        def closed(state: StackState) -> StackState:
            held, run = self._held(state)
            if step.index in run.done:
                return held
            return close(held, replace(run, done=run.done | {step.index}))

        await self._records.change(self._run_id.stack, closed)

    async def _end(self, end: Callable[[StackState, StackRun], tuple[StackState, RunEnd]]) -> None:
        def ended(state: StackState) -> StackState:
            held, run = self._held(state)
            after, how = end(held, run)
            return after.with_end(run, how)

        await self._records.change(self._run_id.stack, ended)

    def _held(self, state: StackState) -> tuple[StackState, StackRun]:
        held = state.held_by(self.fence)
        run = held.active_run(self._run_id.name)
        if run is None:
            raise RunNotActive(
                f"stack {self._run_id.stack}: run {self._run_id.name} is not in progress"
            )
        return held, run
