"""The step engine one step at a time, until environments polls its runs."""

from collections.abc import Collection
from dataclasses import replace

from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import (
    DestroyPlan,
    RemainingResource,
    RunFailed,
    RunId,
    RunSucceeded,
    StackName,
    StackPlan,
    UpdatePlan,
)
from shared.infrastructure.run_journal import RunJournal
from shared.infrastructure.run_rules import superseded
from shared.infrastructure.state import ResourceStep, StackState
from shared.infrastructure.step_engine import StepEngine
from shared.infrastructure.step_executor import StepExecutor
from shared.infrastructure.stepwise_values import Finished, Reason, Run, Step, StepOutcome
from shared.kernel.errors import Conflict, Refused, Stale
from shared.kernel.fence import Fence


class StepsLeft(Conflict):
    """A run was to be ended before its steps were."""

    code = "StepsLeft"


class StepwiseEngine(StepEngine):
    """A StepEngine whose runs a caller does step by step."""

    async def begin_update(
        self, stack: StackName, inputs: EnvironmentInputs, plan_hash: str, fence: Fence
    ) -> Run:
        return await self._begin(RunId(stack, plan_hash), UpdatePlan(inputs, plan_hash), fence)

    async def begin_destroy(
        self,
        stack: StackName,
        fence: Fence,
        *,
        retain: Collection[str] = (),
        unprotect: bool = False,
    ) -> Run:
        run_id = RunId(stack, f"destroy-{fence.operation}-{fence.token}")
        return await self._begin(run_id, DestroyPlan(tuple(retain), unprotect), fence)

    async def run_step(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        run_id = RunId(stack, step.run)
        journal = RunJournal(self._records, run_id, fence)
        state = (await self._records.load(stack)).held_by(fence)
        if isinstance(end := state.end_of(step.run), RunSucceeded):
            return StepOutcome(step, _left_of(end.left, step))
        _, run = await journal.load()
        try:
            await StepExecutor(self._providers).execute(run.steps[step.index], journal)
        except Stale:
            raise
        except Refused as refused:
            left = [each.name for each in run.remaining]
            raise Conflict(
                f"{step.name}: {refused.message} ({refused.code}); {len(left)} of "
                f"{len(run.steps)} steps are left: {', '.join(left)}",
                code="StepFailed",
                details=refused.details,
            ) from refused
        _, run = await journal.load()
        return StepOutcome(step, _left_of(run.left, step))

    async def finish(self, stack: StackName, run_id: str, fence: Fence) -> Finished:
        state = (await self._records.load(stack)).held_by(fence)
        if state.end_of(run_id) is None:
            journal = RunJournal(self._records, RunId(stack, run_id), fence)
            _, run = await journal.load()
            if run.remaining:
                names = ", ".join(each.name for each in run.remaining)
                raise StepsLeft(f"stack {stack}: steps are not done: {names}")
            await journal.succeed()
        end = (await self._records.load(stack)).end_of(run_id)
        assert isinstance(end, RunSucceeded), run_id
        return Finished(end.outputs, tuple(Reason(**vars(each)) for each in end.left))

    def _superseded(self, state: StackState, fence: Fence) -> StackState:
        is_own = state.run is not None and state.run.name.startswith(("sha256:", "destroy-"))
        return replace(state, run=None) if is_own else superseded(state, fence)

    async def _begin(self, run_id: RunId, plan: StackPlan, fence: Fence) -> Run:
        state = await self._record(run_id, plan, fence)
        run = state.active_run(run_id.name)
        assert not isinstance(state.end_of(run_id.name), RunFailed), run_id
        remaining = run.remaining if run else ()
        return Run(run_id.name, tuple(_step(run_id, each) for each in remaining))


def _step(run_id: RunId, step: ResourceStep) -> Step:
    return Step(run_id.name, step.index, step.action.value, step.urn, step.type, step.name)


def _left_of(left: Collection[RemainingResource], step: Step) -> Reason | None:
    return next((Reason(**vars(each)) for each in left if each.urn == step.urn), None)
