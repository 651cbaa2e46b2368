"""The step engine: one algorithm over an evaluator, the recorded states and the providers.

Each step is two saves around one provider call. A kill between them leaves the resource *in doubt*:
the next one to come reads the world first and then goes on, so nothing is made twice.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Protocol

from shared.infrastructure import preview as planning
from shared.infrastructure.errors import PlanMoved, RunUnknown, StepsLeft
from shared.infrastructure.graph import Graph
from shared.infrastructure.inputs import EnvironmentInputs, require_valid
from shared.infrastructure.port import (
    Change,
    DestroyPlan,
    Finished,
    Left,
    Preview,
    Refreshed,
    Run,
    RunId,
    RunInProgress,
    RunKind,
    RunStatus,
    StackName,
    StackPlan,
    StackView,
    Step,
    StepOutcome,
    UpdatePlan,
)
from shared.infrastructure.provider import Live, Resource, ResourceProvider
from shared.infrastructure.run_journal import Journal
from shared.infrastructure.run_rules import (
    as_seen,
    current_run,
    destroy_run,
    differs,
    holder_of,
    left_of,
    node_of,
    run_of,
    settled,
    step_failed,
    superseded,
    view_of,
    wanted_properties,
)
from shared.infrastructure.run_worker import BackgroundRuns
from shared.infrastructure.state import Recorded, StackState, StackStates
from shared.kernel.clock import Clock, LoopClock
from shared.kernel.errors import PlanRefused, Refused, Stale, Unavailable
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
    """An InfrastructureEngine. `providers` by resource type."""

    def __init__(
        self,
        evaluator: Evaluator,
        states: StackStates,
        providers: Mapping[str, ResourceProvider],
        clock: Clock | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._journal = Journal(states)
        self._providers = providers
        self._runs = BackgroundRuns(self._journal, self._do_step, clock or LoopClock())

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        require_valid(inputs)
        graph = await self._evaluator.evaluate(stack, inputs)
        state = await self._journal.load(stack)
        return planning.preview(state, inputs, graph, self._providers)

    async def start(self, run_id: RunId, plan: StackPlan, fence: Fence) -> None:
        state = (await self._journal.load(run_id.stack)).admit(fence)
        is_known = state.active_run(run_id.name) or state.end_of(run_id.name)
        if isinstance(plan, UpdatePlan):
            require_valid(plan.inputs)
        graph = None
        if isinstance(plan, UpdatePlan) and not is_known:
            graph = await self._evaluator.evaluate(run_id.stack, plan.inputs)

        def begin(state: StackState) -> StackState:
            held = state.admit(fence)
            run = held.active_run(run_id.name)
            if run is not None:
                return replace(held, run=replace(run, fence=fence))
            if held.end_of(run_id.name) is not None:
                return held
            free = superseded(held, fence)
            return self._begun(free, run_id, plan, graph, fence)

        after = await self._journal.change(run_id.stack, begin)
        if after.active_run(run_id.name):
            self._runs.resume(run_id)

    async def observe(self, run_id: RunId) -> RunStatus:
        try:
            state = await self._journal.load(run_id.stack)
        except Unavailable as away:
            return Unknown(away.message)
        run = state.active_run(run_id.name)
        if run is None:
            unknown = Unknown(f"stack {run_id.stack} has no record of a run {run_id.name}")
            return state.end_of(run_id.name) or unknown
        trouble = self._runs.resume(run_id).trouble
        current = f"{run.current_step}: {trouble}" if trouble else run.current_step
        return RunInProgress(len(run.done), len(run.steps), current)

    async def cancel(self, run_id: RunId, fence: Fence) -> None:
        def requested(state: StackState) -> StackState:
            held = state.admit(fence)
            if held.end_of(run_id.name) is not None:
                return state
            run = current_run(held, run_id.name)
            return replace(held, run=replace(run, is_cancel_requested=True, fence=fence))

        after = await self._journal.change(run_id.stack, requested)
        if after.active_run(run_id.name):
            self._runs.resume(run_id)

    def _begun(
        self, state: StackState, run_id: RunId, plan: StackPlan, graph: Graph | None, fence: Fence
    ) -> StackState:
        match plan:
            case DestroyPlan(retain, unprotect):
                run = destroy_run(state, run_id.name, retain, unprotect=unprotect)
                return replace(state, run=replace(run, fence=fence), graph=None)
            case UpdatePlan(inputs, plan_hash):
                assert graph is not None, run_id
                preview = planning.preview(state, inputs, graph, self._providers)
                if preview.plan_hash != plan_hash:
                    raise PlanMoved(run_id.stack, expected=preview.plan_hash, received=plan_hash)
                if preview.refusals:
                    raise PlanRefused("the plan has refusals", details=preview.refusals)
                steps = tuple(replace(step, run=run_id.name) for step in preview.steps)
                run = Run(run_id.name, RunKind.UPDATE, steps, fence=fence)
                return replace(state, run=run, graph=graph, inputs=inputs.to_json())

    async def begin_update(
        self, stack: StackName, inputs: EnvironmentInputs, plan_hash: str, fence: Fence
    ) -> Run:
        require_valid(inputs)
        graph = await self._evaluator.evaluate(stack, inputs)

        def begin(state: StackState) -> StackState:
            held = state.admit(fence)
            if state.run is not None and state.run.id == plan_hash:
                return held
            plan = planning.preview(state, inputs, graph, self._providers)
            if plan.plan_hash != plan_hash:
                raise PlanMoved(stack, expected=plan.plan_hash, received=plan_hash)
            if plan.refusals:
                raise PlanRefused("the plan has refusals", details=plan.refusals)
            run = Run(plan_hash, RunKind.UPDATE, plan.steps)
            return replace(held, run=run, graph=graph, inputs=inputs.to_json())

        return run_of(await self._journal.change(stack, begin))

    async def begin_destroy(
        self,
        stack: StackName,
        fence: Fence,
        *,
        retain: Collection[str] = (),
        unprotect: bool = False,
    ) -> Run:
        run_id = f"destroy-{fence.operation}-{fence.token}"

        def begin(state: StackState) -> StackState:
            held = state.admit(fence)
            if state.run is not None and state.run.id == run_id:
                return held
            run = destroy_run(held, run_id, retain, unprotect=unprotect)
            return replace(held, run=run, graph=None)

        return run_of(await self._journal.change(stack, begin))

    async def run_step(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        try:
            return await self._do_step(stack, step, fence)
        except (Stale, RunUnknown, StepsLeft):
            raise
        except Refused as refused:
            raise step_failed(await self._journal.load(stack), step, refused) from refused

    async def _do_step(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        state = (await self._journal.load(stack)).admit(fence)
        run = current_run(state, step.run)
        if run.steps[step.index : step.index + 1] != (step,):
            raise RunUnknown(f"stack {stack}: its run {run.id} has no such step {step}")
        if step.index in run.done:
            return StepOutcome(step, left_of(run, step.urn))
        earlier = [each.name for each in run.remaining if each.index < step.index]
        if earlier:
            raise StepsLeft(f"{step.name}: steps before it are not done: {', '.join(earlier)}")
        if step.verb is Change.DELETE:
            return await self._delete(stack, step, fence)
        return await self._make(stack, step, fence)

    async def finish(self, stack: StackName, run_id: str, fence: Fence) -> Finished:
        def end(state: StackState) -> StackState:
            held = state.admit(fence)
            run = current_run(state, run_id)
            if run.is_finished:
                return held
            if run.remaining:
                names = ", ".join(each.name for each in run.remaining)
                raise StepsLeft(f"stack {stack}: steps are not done: {names}")
            ended = replace(held, run=replace(run, is_finished=True), graph=None)
            return settled(ended, state.graph)

        state = await self._journal.change(stack, end)
        return Finished(state.outputs, run_of(state).left)

    async def refresh(self, stack: StackName, fence: Fence) -> Refreshed:
        state = (await self._journal.load(stack)).admit(fence)
        seen = {each.urn: await self._look(each) for each in state.resources}

        def record(current: StackState) -> StackState:
            after = current.admit(fence)
            for before in current.resources:
                # Only what is still as it was when it was read; a step may have come between.
                if before == state.resource(before.urn):
                    after = as_seen(after, before, seen[before.urn])
            return after

        await self._journal.change(stack, record)
        return Refreshed(
            changed=tuple(
                each.urn
                for each in state.resources
                if isinstance(got := seen[each.urn], Present) and differs(each, got.value)
            ),
            absent=tuple(urn for urn, got in seen.items() if isinstance(got, Absent)),
            unknown=tuple(urn for urn, got in seen.items() if isinstance(got, Unknown)),
        )

    async def read(self, stack: StackName) -> Reading[StackView]:
        try:
            state = await self._journal.load(stack)
        except Unavailable as away:
            return Unknown(away.message)
        if not state.resources:
            return Absent()
        return Present(view_of(state))

    async def _make(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        state = await self._journal.load(stack)
        node, before = node_of(state, step.urn), state.resource(step.urn)
        wanted = wanted_properties(state, node, before, step.verb)
        if step.verb is Change.UPDATE and before is not None and before.in_doubt is None:
            if before.properties == wanted:
                await self._journal.close(stack, step, fence, before)
                return StepOutcome(step)
            opened = replace(before, in_doubt=step.verb)
        else:
            opened = Recorded(
                node.urn, node.type, node.name, wanted,
                before.outputs if before else {}, node.dependencies, node.protected, step.verb,
            )  # fmt: skip
        if not await self._journal.open(stack, step, fence, opened):
            return StepOutcome(step)
        resource = Resource(node.urn, node.type, node.name, wanted)
        was_in_doubt = before is not None and before.in_doubt is not None
        live = await self._converge(resource, step, fence, was_in_doubt=was_in_doubt)
        done = Recorded(
            node.urn, node.type, node.name, wanted, live.outputs, node.dependencies, node.protected
        )
        await self._journal.close(stack, step, fence, done)
        return StepOutcome(step)

    async def _converge(
        self, resource: Resource, step: Step, fence: Fence, *, was_in_doubt: bool
    ) -> Live:
        provider = self._providers[resource.type]
        verb = step.verb
        if was_in_doubt:
            match await provider.read(resource):
                case Present():
                    verb = Change.UPDATE
                case Absent():
                    verb = Change.CREATE
                case Unknown(reason):
                    raise Unavailable(f"{resource.name}: cannot tell whether it exists: {reason}")
        if verb is Change.UPDATE:
            return await provider.update(resource, fence)
        return await provider.create(resource, fence)

    async def _delete(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        state = await self._journal.load(stack)
        before = state.resource(step.urn)
        if before is None:
            await self._journal.close(stack, step, fence, None)
            return StepOutcome(step)
        run = run_of(state)
        holder = holder_of(state, run, step.urn)
        if holder is not None:
            reason = f"{holder} needs it and is still there"
            return await self._journal.leave(
                stack, step, fence, Left(step.urn, step.name, "HeldBy", reason)
            )
        doubtful = replace(before, in_doubt=Change.DELETE)
        if not await self._journal.open(stack, step, fence, doubtful):
            return StepOutcome(step)
        resource = Resource(before.urn, before.type, before.name, before.properties)
        try:
            await self._providers[before.type].delete(resource, fence)
        except Stale:
            raise
        except Refused as refused:
            if run.kind is RunKind.UPDATE:
                raise
            left = Left(step.urn, step.name, refused.code, refused.message)
            return await self._journal.leave(stack, step, fence, left)
        await self._journal.close(stack, step, fence, None)
        return StepOutcome(step)

    async def _look(self, recorded: Recorded) -> Reading[Live]:
        provider = self._providers.get(recorded.type)
        if provider is None:
            return Unknown(f"no provider for {recorded.type}")
        resource = Resource(recorded.urn, recorded.type, recorded.name, recorded.properties)
        try:
            first = await provider.read(resource)
            # What is about to be forgotten is looked for twice.
            return await provider.read(resource) if isinstance(first, Absent) else first
        except Unavailable as away:
            return Unknown(away.message)
