"""The step engine: one algorithm over an evaluator, the recorded states and the providers."""

from dataclasses import replace
from typing import Protocol

from shared.infrastructure.difference import difference
from shared.infrastructure.errors import PlanChanged, StackBusy
from shared.infrastructure.graph import Graph
from shared.infrastructure.inputs import EnvironmentInputs, require_valid
from shared.infrastructure.port import (
    DestroyPlan,
    Preview,
    RefreshResult,
    RunId,
    RunInProgress,
    RunStatus,
    StackName,
    StackPlan,
    StackView,
    UpdatePlan,
)
from shared.infrastructure.preview import make_preview
from shared.infrastructure.provider import Providers
from shared.infrastructure.refresh import read_resources, refreshed, with_readings
from shared.infrastructure.run_journal import StackRecords
from shared.infrastructure.run_rules import destroy_run, without_older_run
from shared.infrastructure.run_worker import BackgroundRuns
from shared.infrastructure.state import StackRun, StackState, StackStates
from shared.infrastructure.step_executor import StepExecutor
from shared.kernel.clock import Clock
from shared.kernel.errors import PlanRefused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Absent, Present, Reading, Unknown


class Evaluator(Protocol):
    """Runs an environment program without touching the world."""

    async def evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        """Return what the program for *inputs* declares; equal inputs, equal graph.

        Raises:
            Refused: the program does not accept *inputs*.
            Unavailable: it could not be run to its end in time.
        """
        ...


class StepEngine:
    """An InfrastructureEngine that does the steps of its runs itself, in the background."""

    def __init__(
        self, evaluator: Evaluator, states: StackStates, providers: Providers, clock: Clock
    ) -> None:
        self._evaluator = evaluator
        self._records = StackRecords(states)
        self._providers = providers
        self._runs = BackgroundRuns(self._records, StepExecutor(providers), clock)

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        require_valid(inputs)
        graph = await self._evaluator.evaluate(stack, inputs)
        state = await self._records.load(stack)
        return make_preview(state, inputs, graph, self._providers)

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        self._resume_active(await self._record(run_id, plan, fence), run_id)

    async def observe(self, run_id: RunId) -> RunStatus:
        try:
            state = await self._records.load(run_id.stack)
        except Unavailable as away:
            return Unknown(away.message)
        run = state.active_run(run_id.name)
        if run is None:
            not_found = Unknown(f"stack {run_id.stack} has no record of a run {run_id.name}")
            return state.end_of(run_id.name) or not_found
        trouble = self._runs.resume(run_id).trouble
        step = str(run.remaining[0]) if run.remaining else "record the outputs"
        return RunInProgress(len(run.done), len(run.steps), step, trouble)

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        def requested(state: StackState) -> StackState:
            held = state.held_by(fence)
            run = held.active_run(run_id.name)
            if run is not None:
                return replace(held, run=replace(run, is_cancel_requested=True, fence=fence))
            if held.end_of(run_id.name) is None:
                return held.with_end_before_start(run_id.name, fence)
            return held

        after = await self._records.change(run_id.stack, requested)
        self._resume_active(after, run_id)

    async def refresh(self, stack: StackName, fence: Fence) -> RefreshResult:
        state = (await self._records.load(stack)).held_by(fence)
        readings = await read_resources(state, self._providers)

        def recorded(current: StackState) -> StackState:
            held = without_older_run(current.held_by(fence), fence)
            return with_readings(held, state, readings)

        await self._records.change(stack, recorded)
        return refreshed(state, readings)

    async def read(self, stack: StackName) -> Reading[StackView]:
        try:
            state = await self._records.load(stack)
        except Unavailable as away:
            return Unknown(away.message)
        if not state.resources:
            return Absent()
        return Present(state.view())

    async def _record(self, run_id: RunId, plan: StackPlan, fence: Fence) -> StackState:
        """Record the start of *run_id*, where that was not done before."""
        state = (await self._records.load(run_id.stack)).held_by(fence)
        is_known = state.active_run(run_id.name) or state.end_of(run_id.name)
        graph = None
        if isinstance(plan, UpdatePlan) and not is_known:
            require_valid(plan.inputs)
            graph = await self._evaluator.evaluate(run_id.stack, plan.inputs)

        def begun(state: StackState) -> StackState:
            held = state.held_by(fence)
            run = held.active_run(run_id.name)
            if run is not None:
                return replace(held, run=replace(run, fence=fence))
            if held.end_of(run_id.name) is not None:
                return held
            free = without_older_run(held, fence)
            if free.run is not None:
                raise StackBusy(
                    f"stack {run_id.stack}: run {free.run.name} is in progress under the same "
                    f"token {fence.token}"
                )
            return self._begun(free, run_id, plan, graph, fence)

        return await self._records.change(run_id.stack, begun)

    def _begun(
        self, state: StackState, run_id: RunId, plan: StackPlan, graph: Graph | None, fence: Fence
    ) -> StackState:
        if isinstance(plan, DestroyPlan):
            return replace(state, run=destroy_run(state, run_id.name, plan, fence))
        assert graph is not None, run_id
        preview = make_preview(state, plan.inputs, graph, self._providers)
        if preview.plan_hash != plan.plan_hash:
            raise PlanChanged(run_id.stack, expected=preview.plan_hash, received=plan.plan_hash)
        if preview.refusals:
            raise PlanRefused("the plan has refusals", details=preview.refusals)
        run = StackRun(run_id.name, fence, difference(state, graph).steps, graph)
        return replace(state, run=run, inputs=plan.inputs.to_json())

    def _resume_active(self, state: StackState, run_id: RunId) -> None:
        if state.active_run(run_id.name) is not None:
            self._runs.resume(run_id)
