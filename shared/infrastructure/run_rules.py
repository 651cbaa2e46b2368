"""What a run makes of the recorded state: pure rules, the same for every step."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from shared.infrastructure.difference import deletion_order, keeping_ignored, needed_by
from shared.infrastructure.errors import RunUnknown, StackBusy, StepFailed
from shared.infrastructure.graph import Graph, Node, Properties, Unresolved, Urn, resolve
from shared.infrastructure.inputs import data_resource_name
from shared.infrastructure.port import (
    Change,
    Left,
    Run,
    RunFailed,
    RunKind,
    StackResource,
    StackView,
    Step,
)
from shared.infrastructure.provider import Live
from shared.infrastructure.state import Recorded, StackState
from shared.kernel.errors import Refused
from shared.kernel.fence import Fence
from shared.kernel.observation import Absent, Present, Reading, Unknown


def run_of(state: StackState) -> Run:
    assert state.run is not None, state.stack
    return state.run


def current_run(state: StackState, run_id: str) -> Run:
    if state.run is None or state.run.id != run_id:
        current = state.run.id if state.run else "none"
        raise RunUnknown(f"stack {state.stack}: its run is {current}, received {run_id}")
    return state.run


def at_step(state: StackState, step: Step, fence: Fence) -> StackState:
    held = state.admit(fence)
    current_run(held, step.run)
    return held


def node_of(state: StackState, urn: Urn) -> Node:
    node = state.graph.node(urn) if state.graph else None
    assert node is not None, urn
    return node


def left_of(run: Run, urn: Urn) -> Left | None:
    return next((left for left in run.left if left.urn == urn), None)


def wanted_properties(
    state: StackState, node: Node, before: Recorded | None, verb: Change
) -> dict[str, Any]:
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


def step_failed(state: StackState, step: Step, refused: Refused) -> StepFailed:
    run = run_of(state)
    left = [each.name for each in run.remaining]
    return StepFailed(refused, step.name, left, len(run.steps))


def destroy_run(state: StackState, name: str, retain: Collection[str], *, unprotect: bool) -> Run:
    """Return the run that deletes what may be deleted of *state*, last resource first."""
    left = kept_by(state, retain, unprotect=unprotect)
    kept = {each.urn for each in left}
    going = [each for each in deletion_order(state.resources) if each.urn not in kept]
    steps = tuple(
        Step(name, index, Change.DELETE, each.urn, each.type, each.name)
        for index, each in enumerate(going)
    )
    return Run(name, RunKind.DESTROY, steps, left=tuple(left))


def superseded(state: StackState, fence: Fence) -> StackState:
    """Return *state* without an active run, so that another can begin under *fence*.

    Raises:
        StackBusy: *fence* is not newer than the active run's.
    """
    run = state.run
    if run is None or run.fence is None:
        return replace(state, run=None)
    if fence.token == run.fence.token:
        raise StackBusy(
            f"stack {state.stack}: run {run.id} is in progress under the same token {fence.token}"
        )
    message = f"{fence.operation} began a newer run of the stack"
    end = failed(run, code="RunSuperseded", message=message)
    return state.with_end(run, end)


def failed(run: Run, *, code: str, message: str, cause: Refused | None = None) -> RunFailed:
    """Return the end of *run* before its steps are done; *cause* is what refused the next one."""
    left = {each.urn: each for each in run.left}
    for step in run.remaining:
        left.setdefault(step.urn, Left(step.urn, step.name, "NotReached", "the run ended before"))
    if run.remaining:
        at = run.remaining[0]
        message = f"{at.name}: {message}"
        if cause is not None:
            left[at.urn] = Left(at.urn, at.name, cause.code, cause.message)
    return RunFailed(code, message, tuple(left.values()))


def holder_of(state: StackState, run: Run, urn: Urn) -> str | None:
    """Return the name of a resource that was left and needs *urn*."""
    for left in run.left:
        if left.urn != urn and urn in needed_by(left.urn, state.resources):
            return left.name
    return None


def kept_by(state: StackState, retain: Collection[str], *, unprotect: bool) -> list[Left]:
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


def settled(state: StackState, graph: Graph | None) -> StackState:
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


def differs(recorded: Recorded, live: Live) -> bool:
    return recorded.properties != live.properties or recorded.outputs != live.outputs


def as_seen(state: StackState, before: Recorded, seen: Reading[Live]) -> StackState:
    match seen:
        case Present(live):
            now = replace(before, properties=live.properties, outputs=live.outputs, in_doubt=None)
            return state.with_resource(now)
        case Absent():
            return state.without_resource(before.urn)
        case Unknown():
            return state


def view_of(state: StackState) -> StackView:
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
