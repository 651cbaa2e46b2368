"""What a run makes of the recorded state: pure rules, the same for every step."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from shared.infrastructure.diff import keeping_ignored, needed_by
from shared.infrastructure.errors import RunUnknown, StepFailed
from shared.infrastructure.graph import Graph, Node, Properties, Unresolved, Urn, resolve
from shared.infrastructure.inputs import data_resource_name
from shared.infrastructure.port import Change, Left, Run, StackResource, StackView, Step
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
