"""Every change of a stack's state, guarded by its version and its fence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from local_cloud.infrastructure.run_rules import settled
from local_cloud.infrastructure.state import ResourceStep, StackRun, StackState, StackStates
from shared.infrastructure.errors import RunNotActive
from shared.infrastructure.graph import RecordedResource
from shared.infrastructure.port import RemainingResource, RunFailed, RunId, RunSucceeded, StackName
from shared.kernel.errors import Stale, Unavailable
from shared.kernel.fence import Fence

SAVE_ATTEMPTS: Final = 5
"""As everywhere on the write path: a writer that loses five races in a row has to come back."""


async def change_state(
    states: StackStates, stack: StackName, change: Callable[[StackState], StackState]
) -> StackState:
    """Save the result of *change*, which is called again after a lost race. Raises Unavailable."""
    for _ in range(SAVE_ATTEMPTS):
        before = await states.load(stack)
        after = change(before)
        if after == before:
            return before
        try:
            return await states.save(after)
        except Stale:
            continue
    raise Unavailable(f"stack {stack}: its state changed during each of {SAVE_ATTEMPTS} saves")


@dataclass(frozen=True)
class RunJournal:
    """Records the steps and the end of one run, held by *fence*.

    Each method raises StaleFence after a newer fence, and RunNotActive when the run has ended.
    """

    states: StackStates
    run_id: RunId
    fence: Fence

    async def load(self) -> tuple[StackState, StackRun]:
        return self._held(await self.states.load(self.run_id.stack))

    async def open(self, step: ResourceStep, in_doubt: RecordedResource) -> bool:
        """Record that *step* begins, before its provider is called.

        Returns False, and records nothing, when a second execution of the step has ended it.
        """
        after = await self._change(
            lambda state, run: state if step.index in run.done else state.with_resource(in_doubt)
        )
        return step.index not in self._held(after)[1].done

    async def close(
        self, step: ResourceStep, outcome: RecordedResource | RemainingResource | None
    ) -> None:
        """Record that *step* is done: the resource as it is now, or left, or None when gone."""

        def closed(state: StackState, run: StackRun) -> StackState:
            if step.index in run.done:
                return state
            run = replace(run, done=run.done | {step.index})
            match outcome:
                case RecordedResource():
                    state = state.with_resource(outcome)
                case RemainingResource():
                    run = replace(run, left=(*run.left, outcome))
                case None:
                    state = state.without_resource(step.urn)
            return replace(state, run=run)

        await self._change(closed)

    async def succeed(self) -> None:
        """Record the end of the run, whose steps are done, and the stack's outputs."""

        def ended(state: StackState, run: StackRun) -> StackState:
            after = settled(state, run.graph)
            end = RunSucceeded(after.outputs, run.left, run.done_names)
            return after.with_end(run.name, end)

        await self._change(ended)

    async def fail(self, end: RunFailed) -> None:
        """Record that the run ended early; its finished steps stay."""
        await self._change(lambda state, run: state.with_end(run.name, end))

    async def _change(self, change: Callable[[StackState, StackRun], StackState]) -> StackState:
        return await change_state(
            self.states, self.run_id.stack, lambda state: change(*self._held(state))
        )

    def _held(self, state: StackState) -> tuple[StackState, StackRun]:
        held = state.held_by(self.fence)
        run = held.active_run(self.run_id.name)
        if run is None:
            raise RunNotActive(
                f"stack {self.run_id.stack}: run {self.run_id.name} is not in progress"
            )
        return held, run
