"""The step engine: one algorithm over an evaluator, the recorded states and the providers.

Each step is two saves around one provider call. A kill between them leaves the resource *in doubt*:
the next one to come reads the world first and then goes on, so nothing is made twice.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from shared.infrastructure.diff import (
    deletion_order,
    difference,
    keeping_ignored,
    needed_by,
)
from shared.infrastructure.errors import PlanMoved, RunUnknown, StepFailed, StepsLeft
from shared.infrastructure.graph import (
    Graph,
    Node,
    Properties,
    Unresolved,
    Urn,
    digest,
    graph_to_json,
    resolve,
)
from shared.infrastructure.inputs import (
    FIXED_INPUTS,
    EnvironmentInputs,
    data_resource_name,
    require_valid,
)
from shared.infrastructure.port import (
    Change,
    Finished,
    Left,
    MonthlyCost,
    Preview,
    Refreshed,
    ResourceChange,
    Run,
    RunKind,
    StackName,
    StackResource,
    StackView,
    Step,
    StepOutcome,
)
from shared.infrastructure.provider import Live, Resource, ResourceProvider
from shared.infrastructure.state import Recorded, StackState, StackStates
from shared.kernel.errors import PlanRefused, Refused, Stale, Unavailable, Violation
from shared.kernel.fence import Fence
from shared.kernel.world import Absent, Present, Reading, Unknown

SAVE_ATTEMPTS: Final = 5
"""As everywhere on the write path: who loses five races in a row is told to come back."""


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
    ) -> None:
        self._evaluator = evaluator
        self._states = states
        self._providers = providers

    async def preview(self, stack: StackName, inputs: EnvironmentInputs) -> Preview:
        require_valid(inputs)
        graph = await self._evaluator.evaluate(stack, inputs)
        return self._preview(await self._states.load(stack), inputs, graph)

    async def begin_update(
        self, stack: StackName, inputs: EnvironmentInputs, plan_hash: str, fence: Fence
    ) -> Run:
        require_valid(inputs)
        graph = await self._evaluator.evaluate(stack, inputs)

        def begin(state: StackState) -> StackState:
            held = state.admit(fence)
            if state.run is not None and state.run.id == plan_hash:
                return held
            plan = self._preview(state, inputs, graph)
            if plan.plan_hash != plan_hash:
                raise PlanMoved(stack, expected=plan.plan_hash, received=plan_hash)
            if plan.refusals:
                raise PlanRefused("the plan has refusals", details=plan.refusals)
            run = Run(plan_hash, RunKind.UPDATE, plan.steps)
            return replace(held, run=run, graph=graph, inputs=inputs.to_json())

        return _run_of(await self._change(stack, begin))

    async def begin_destroy(
        self,
        stack: StackName,
        fence: Fence,
        *,
        retain: Collection[str] = (),
        unprotect: bool = False,
    ) -> Run:
        def begin(state: StackState) -> StackState:
            held = state.admit(fence)
            if state.run is not None and state.run.id == f"destroy-{fence.operation}-{fence.token}":
                return held
            left = _kept(state, retain, unprotect=unprotect)
            kept = {each.urn for each in left}
            run_id = f"destroy-{fence.operation}-{fence.token}"
            going = [each for each in deletion_order(state.resources) if each.urn not in kept]
            steps = tuple(
                Step(run_id, index, Change.DELETE, each.urn, each.type, each.name)
                for index, each in enumerate(going)
            )
            run = Run(run_id, RunKind.DESTROY, steps, left=tuple(left))
            return replace(held, run=run, graph=None)

        return _run_of(await self._change(stack, begin))

    async def run_step(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        state = (await self._states.load(stack)).admit(fence)
        run = _current(state, step.run)
        if run.steps[step.index : step.index + 1] != (step,):
            raise RunUnknown(f"stack {stack}: its run {run.id} has no such step {step}")
        if step.index in run.done:
            return StepOutcome(step, _left_of(run, step.urn))
        earlier = [each.name for each in run.remaining if each.index < step.index]
        if earlier:
            raise StepsLeft(f"{step.name}: steps before it are not done: {', '.join(earlier)}")
        if step.verb is Change.DELETE:
            return await self._delete(stack, step, fence)
        return await self._make(stack, step, fence)

    async def finish(self, stack: StackName, run_id: str, fence: Fence) -> Finished:
        def end(state: StackState) -> StackState:
            held = state.admit(fence)
            run = _current(state, run_id)
            if run.is_finished:
                return held
            if run.remaining:
                names = ", ".join(each.name for each in run.remaining)
                raise StepsLeft(f"stack {stack}: steps are not done: {names}")
            ended = replace(held, run=replace(run, is_finished=True), graph=None)
            return _settled(ended, state.graph)

        state = await self._change(stack, end)
        return Finished(state.outputs, _run_of(state).left)

    async def refresh(self, stack: StackName, fence: Fence) -> Refreshed:
        state = (await self._states.load(stack)).admit(fence)
        seen = {each.urn: await self._look(each) for each in state.resources}

        def record(current: StackState) -> StackState:
            after = current.admit(fence)
            for before in current.resources:
                # Only what is still as it was when it was read; a step may have come between.
                if before == state.resource(before.urn):
                    after = _as_seen(after, before, seen[before.urn])
            return after

        await self._change(stack, record)
        return Refreshed(
            changed=tuple(
                each.urn
                for each in state.resources
                if isinstance(got := seen[each.urn], Present) and _differs(each, got.value)
            ),
            absent=tuple(urn for urn, got in seen.items() if isinstance(got, Absent)),
            unknown=tuple(urn for urn, got in seen.items() if isinstance(got, Unknown)),
        )

    async def read(self, stack: StackName) -> Reading[StackView]:
        try:
            state = await self._states.load(stack)
        except Unavailable as away:
            return Unknown(away.message)
        if not state.resources:
            return Absent()
        return Present(_view(state))

    # Previewing

    def _preview(self, state: StackState, inputs: EnvironmentInputs, graph: Graph) -> Preview:
        found = difference(state, graph)
        plan_hash = digest({"graph": graph_to_json(graph), "version": state.version})
        return Preview(
            stack=state.stack,
            graph=graph,
            changes=found.changes,
            steps=tuple(replace(step, run=plan_hash) for step in found.steps),
            refusals=(
                *_fixed(state, inputs),
                *_protected(state, found.changes),
                *self._checks(graph),
            ),
            monthly_cost=self._monthly_cost(graph),
            state_version=state.version,
            plan_hash=plan_hash,
        )

    def _checks(self, graph: Graph) -> list[Violation]:
        found: list[Violation] = []
        for node in graph.nodes:
            provider = self._providers.get(node.type)
            if provider is None:
                found.append(
                    Violation(
                        "ProviderMissing", "", f"{node.name}: this engine cannot make its type",
                        " | ".join(sorted(self._providers)), node.type,
                    )
                )  # fmt: skip
            else:
                found += provider.check(node)
        return found

    def _monthly_cost(self, graph: Graph) -> MonthlyCost | None:
        known: list[MonthlyCost] = []
        for node in graph.nodes:
            provider = self._providers.get(node.type)
            cost = provider.monthly_cost(node) if provider else None
            if cost is None:
                return None
            known.append(cost)
        if len({cost.currency for cost in known}) != 1:
            return None
        bases = dict.fromkeys(cost.basis for cost in known if cost.basis)
        return MonthlyCost(
            round(sum(cost.amount for cost in known), 2), known[0].currency, "; ".join(bases)
        )

    # Stepping

    async def _make(self, stack: StackName, step: Step, fence: Fence) -> StepOutcome:
        state = await self._states.load(stack)
        node, before = _node(state, step.urn), state.resource(step.urn)
        wanted = _wanted(state, node, before, step.verb)
        if step.verb is Change.UPDATE and before is not None and before.in_doubt is None:
            if before.properties == wanted:
                await self._close(stack, step, fence, before)
                return StepOutcome(step)
            opened = replace(before, in_doubt=step.verb)
        else:
            opened = Recorded(
                node.urn, node.type, node.name, wanted,
                before.outputs if before else {}, node.dependencies, node.protected, step.verb,
            )  # fmt: skip
        await self._change(stack, lambda now: _at_step(now, step, fence).with_resource(opened))
        resource = Resource(node.urn, node.type, node.name, wanted)
        was_in_doubt = before is not None and before.in_doubt is not None
        try:
            live = await self._converge(resource, step, fence, was_in_doubt=was_in_doubt)
        except Stale:
            raise
        except Refused as refused:
            raise _failed(state, step, refused) from refused
        done = Recorded(
            node.urn, node.type, node.name, wanted, live.outputs, node.dependencies, node.protected
        )
        await self._close(stack, step, fence, done)
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
        state = await self._states.load(stack)
        before = state.resource(step.urn)
        if before is None:
            await self._close(stack, step, fence, None)
            return StepOutcome(step)
        run = _run_of(state)
        holder = _holder(state, run, step.urn)
        if holder is not None:
            reason = f"{holder} needs it and is still there"
            return await self._leave(
                stack, step, fence, Left(step.urn, step.name, "HeldBy", reason)
            )
        doubtful = replace(before, in_doubt=Change.DELETE)
        await self._change(stack, lambda now: _at_step(now, step, fence).with_resource(doubtful))
        resource = Resource(before.urn, before.type, before.name, before.properties)
        try:
            await self._providers[before.type].delete(resource, fence)
        except Stale:
            raise
        except Refused as refused:
            if run.kind is RunKind.UPDATE:
                raise _failed(state, step, refused) from refused
            left = Left(step.urn, step.name, refused.code, refused.message)
            return await self._leave(stack, step, fence, left)
        await self._close(stack, step, fence, None)
        return StepOutcome(step)

    async def _close(
        self, stack: StackName, step: Step, fence: Fence, recorded: Recorded | None
    ) -> None:
        def close(state: StackState) -> StackState:
            now = _at_step(state, step, fence)
            run = _run_of(now)
            if step.index in run.done:
                return now
            now = now.with_resource(recorded) if recorded else now.without_resource(step.urn)
            return replace(now, run=replace(run, done=run.done | {step.index}))

        await self._change(stack, close)

    async def _leave(self, stack: StackName, step: Step, fence: Fence, left: Left) -> StepOutcome:
        def leave(state: StackState) -> StackState:
            now = _at_step(state, step, fence)
            run = _run_of(now)
            if step.index in run.done:
                return now
            after = replace(run, done=run.done | {step.index}, left=(*run.left, left))
            return replace(now, run=after)

        await self._change(stack, leave)
        return StepOutcome(step, left)

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

    async def _change(
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


def _run_of(state: StackState) -> Run:
    assert state.run is not None, state.stack
    return state.run


def _current(state: StackState, run_id: str) -> Run:
    if state.run is None or state.run.id != run_id:
        current = state.run.id if state.run else "none"
        raise RunUnknown(f"stack {state.stack}: its run is {current}, received {run_id}")
    return state.run


def _at_step(state: StackState, step: Step, fence: Fence) -> StackState:
    held = state.admit(fence)
    _current(held, step.run)
    return held


def _node(state: StackState, urn: Urn) -> Node:
    node = state.graph.node(urn) if state.graph else None
    assert node is not None, urn
    return node


def _left_of(run: Run, urn: Urn) -> Left | None:
    return next((left for left in run.left if left.urn == urn), None)


def _wanted(state: StackState, node: Node, before: Recorded | None, verb: Change) -> dict[str, Any]:
    wanted = resolve(node.properties, lambda to: _output(state, to))
    if verb is Change.UPDATE and before is not None:
        wanted = keeping_ignored(before.properties, wanted, node.ignore)
    return dict(wanted)


def _output(state: StackState, to: Unresolved) -> Any:
    recorded = state.resource(to.urn)
    if recorded is None or not recorded.has(to.output):
        raise Refused(
            f"nothing has the output {to.output!r} of {to.urn}",
            code="OutputMissing",
            target=to.urn,
        )
    return recorded.output(to.output)


def _failed(state: StackState, step: Step, refused: Refused) -> StepFailed:
    run = _run_of(state)
    left = [each.name for each in run.remaining]
    return StepFailed(refused, step.name, left, len(run.steps))


def _holder(state: StackState, run: Run, urn: Urn) -> str | None:
    """Return the name of a resource that was left and needs *urn*."""
    for left in run.left:
        if left.urn != urn and urn in needed_by(left.urn, state.resources):
            return left.name
    return None


def _kept(state: StackState, retain: Collection[str], *, unprotect: bool) -> list[Left]:
    kept: dict[Urn, Left] = {}
    names = {*retain, *map(data_resource_name, retain)}
    for each in state.resources:
        is_part = any(each.is_child_of(urn) for urn in kept)
        if is_part or each.name in names or each.urn in names:
            kept[each.urn] = Left(each.urn, each.name, "Retained", "it was asked to stay")
        elif each.protected and not unprotect:
            kept[each.urn] = Left(each.urn, each.name, "Protected", "it is protected")
    for holder in tuple(kept.values()):
        for urn in needed_by(holder.urn, state.resources):
            held = state.resource(urn)
            if held is not None and urn not in kept:
                reason = f"{holder.name} needs it and stays"
                kept[urn] = Left(urn, held.name, "HeldBy", reason)
    return list(kept.values())


def _settled(state: StackState, graph: Graph | None) -> StackState:
    """Return the state after its run: the graph's order, dependencies and protection, outputs."""
    if graph is None:
        is_gone = not state.resources
        return replace(state, outputs={}, inputs={} if is_gone else state.inputs)
    recorded = {each.urn: each for each in state.resources}
    resources = tuple(
        replace(recorded[node.urn], dependencies=node.dependencies, protected=node.protected)
        for node in graph.nodes
    )
    outputs: Properties = resolve(graph.outputs, lambda to: _output(state, to))
    return replace(state, resources=resources, outputs=outputs)


def _differs(recorded: Recorded, live: Live) -> bool:
    return recorded.properties != live.properties or recorded.outputs != live.outputs


def _as_seen(state: StackState, before: Recorded, seen: Reading[Live]) -> StackState:
    match seen:
        case Present(live):
            now = replace(before, properties=live.properties, outputs=live.outputs, in_doubt=None)
            return state.with_resource(now)
        case Absent():
            return state.without_resource(before.urn)
        case Unknown():
            return state


def _view(state: StackState) -> StackView:
    return StackView(
        state.stack,
        state.version,
        tuple(
            StackResource(
                each.urn, each.type, each.name, each.properties, each.outputs, each.protected,
                each.in_doubt is not None,
            )
            for each in state.resources
        ),
        state.outputs,
        state.run,
    )  # fmt: skip


def _fixed(state: StackState, inputs: EnvironmentInputs) -> list[Violation]:
    if not state.resources:
        return []
    now = inputs.to_json()
    return [
        Violation(
            "FixedInput",
            f"/{_camel(name)}",
            "cannot change while the environment is there; make another environment",
            str(state.inputs[name]),
            str(now[name]),
        )
        for name in FIXED_INPUTS
        if name in state.inputs and state.inputs[name] != now[name]
    ]


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)


def _protected(state: StackState, changes: Collection[ResourceChange]) -> list[Violation]:
    found = []
    for change in changes:
        recorded = state.resource(change.urn)
        is_protected = recorded is not None and recorded.protected
        if is_protected and change.change in {Change.DELETE, Change.REPLACE}:
            because = f" because of {', '.join(change.paths)}" if change.paths else ""
            found.append(
                Violation(
                    "ProtectedDelete", "",
                    f"{change.name} is protected, and the plan would {change.change} it{because}",
                    "a plan that keeps it", change.change,
                )
            )  # fmt: skip
    return found
