"""The step engine: it evaluates, plans, and does the steps of runs by the providers."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Protocol

from local_cloud.infrastructure.difference import planned_steps
from local_cloud.infrastructure.preview import make_preview
from local_cloud.infrastructure.provider import Providers
from local_cloud.infrastructure.refresh import read_resources, refreshed, with_readings
from local_cloud.infrastructure.run_journal import change_state
from local_cloud.infrastructure.run_rules import destroy_run, without_older_run
from local_cloud.infrastructure.run_worker import BackgroundRuns
from local_cloud.infrastructure.state import StackRun, StackState, StackStates
from local_cloud.infrastructure.step_executor import StepExecutor
from shared.infrastructure.errors import PlanChanged, StackBusy
from shared.infrastructure.graph import Graph
from shared.infrastructure.inputs import EnvironmentInputs, require_valid
from shared.infrastructure.local_program import KUBERNETES_SITE
from shared.infrastructure.port import (
    NOT_STARTED,
    DestroyPlan,
    Preview,
    RefreshResult,
    RunFailed,
    RunId,
    RunInProgress,
    RunStatus,
    StackName,
    StackPlan,
    StackView,
    UpdatePlan,
)
from shared.kernel.clock import Clock
from shared.kernel.errors import PlanRefused, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Absent, Present, Reading, Unknown


class Evaluator(Protocol):
    """Runs an environment program; reads and changes nothing else."""

    async def evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        """Return the graph that the program declares for *inputs*; equal inputs, equal graph.

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
        self._states = states
        self._providers = providers
        self._runs = BackgroundRuns(states, StepExecutor(providers), clock)

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        graph = await self._evaluate(stack, inputs)
        return make_preview(await self._states.load(stack), inputs, graph, self._providers)

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        state = (await self._states.load(run_id.stack)).held_by(fence)
        graph = None
        if isinstance(plan, UpdatePlan) and not state.knows_run(run_id.name):
            graph = await self._evaluate(run_id.stack, plan.inputs)

        def started(state: StackState) -> StackState:
            held = state.held_by(fence)
            run = held.active_run(run_id.name)
            if run is not None:
                return replace(held, run=replace(run, fence=fence))
            if held.knows_run(run_id.name):
                return held
            free = without_older_run(held, fence)
            if free.run is not None:
                raise StackBusy(
                    f"stack {run_id.stack}: run {free.run.name} is in progress under the same "
                    f"token {fence.token}"
                )
            if isinstance(plan, DestroyPlan):
                return replace(free, run=destroy_run(free, run_id.name, plan, fence))
            assert graph is not None, run_id
            self._require_accepted(free, plan, graph)
            run = StackRun(run_id.name, fence, planned_steps(free, graph), graph)
            return replace(free, run=run, inputs=asdict(plan.inputs))

        await self._change_and_resume(run_id, started)

    async def observe(self, run_id: RunId) -> RunStatus:
        try:
            state = await self._states.load(run_id.stack)
        except Unavailable as away:
            return Unknown(away.message)
        run = state.active_run(run_id.name)
        if run is None:
            not_found = Unknown(f"stack {run_id.stack} has no record of a run {run_id.name}")
            return state.end_of(run_id.name) or not_found
        trouble = self._runs.resume(run_id).trouble
        step = str(run.remaining[0]) if run.remaining else "record the outputs"
        return RunInProgress(len(run.done), len(run.steps), step, trouble, run.done_names)

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        message = f"canceled by {fence.operation} before it was started"

        def canceled(state: StackState) -> StackState:
            held = state.held_by(fence)
            run = held.active_run(run_id.name)
            if run is not None:
                return replace(held, run=replace(run, is_cancel_requested=True, fence=fence))
            if held.knows_run(run_id.name):
                return held
            # Its start may still arrive; it then finds that the run has ended.
            return held.with_end(run_id.name, RunFailed(code=NOT_STARTED, message=message, left=()))

        await self._change_and_resume(run_id, canceled)

    async def refresh(self, stack: StackName, fence: Fence) -> RefreshResult:
        state = (await self._states.load(stack)).held_by(fence)
        readings = await read_resources(state, self._providers)

        def recorded(current: StackState) -> StackState:
            held = without_older_run(current.held_by(fence), fence)
            return with_readings(held, state, readings)

        await change_state(self._states, stack, recorded)
        return refreshed(state, readings)

    async def read(self, stack: StackName) -> Reading[StackView]:
        try:
            state = await self._states.load(stack)
        except Unavailable as away:
            return Unknown(away.message)
        if not state.resources:
            return Absent()
        return Present(StackView(stack, state.resources, state.outputs))

    async def _evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        placed = replace(inputs, has_cluster=KUBERNETES_SITE in self._providers)
        require_valid(placed)
        return await self._evaluator.evaluate(stack, placed)

    def _require_accepted(self, state: StackState, plan: UpdatePlan, graph: Graph) -> None:
        """Raise PlanChanged or PlanRefused where *plan* cannot be started as it was previewed."""
        preview = make_preview(state, plan.inputs, graph, self._providers)
        if preview.plan_hash != plan.plan_hash:
            raise PlanChanged(state.stack, expected=preview.plan_hash, received=plan.plan_hash)
        if preview.refusals:
            raise PlanRefused("the plan has refusals", details=preview.refusals)

    async def _change_and_resume(
        self, run_id: RunId, change: Callable[[StackState], StackState]
    ) -> None:
        after = await change_state(self._states, run_id.stack, change)
        if after.active_run(run_id.name) is not None:
            self._runs.resume(run_id)
