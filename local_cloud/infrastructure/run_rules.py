"""Rules for the recorded state during a run: pure, the same for every step."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from local_cloud.infrastructure.difference import (
    deletion_order,
    keeping_ignored,
    needed_by,
    numbered_steps,
)
from local_cloud.infrastructure.state import StackRun, StackState
from shared.infrastructure.graph import (
    Graph,
    Node,
    Properties,
    RecordedResource,
    ResourceAction,
    Unresolved,
    Urn,
    resolve,
)
from shared.infrastructure.inputs import data_resource_name
from shared.infrastructure.port import DestroyPlan, RemainingResource, RunFailed
from shared.kernel.errors import Refused
from shared.kernel.fence import Fence


def without_older_run(state: StackState, fence: Fence) -> StackState:
    """Return *state* with the run in progress ended, where *fence* is newer than its fence."""
    run = state.run
    if run is None or run.fence.token >= fence.token:
        return state
    message = f"{fence.operation} holds the stack under a newer fence"
    return state.with_end(run.name, failed(run, code="RunSuperseded", message=message))


def failed(run: StackRun, code: str, message: str, cause: Refused | None = None) -> RunFailed:
    """Return the end of *run* before its steps are done; *cause* refused the next one."""
    reason = "the run ended before its step"
    left = {
        step.urn: RemainingResource(step.urn, step.name, "NotReached", reason)
        for step in run.remaining
    }
    if run.remaining:
        step = run.remaining[0]
        message = f"{step.name}: {message}"
        if cause is not None:
            left[step.urn] = RemainingResource(step.urn, step.name, cause.code, cause.message)
    return RunFailed(code, message, (*run.left, *left.values()), run.done_names)


def destroy_run(state: StackState, name: str, plan: DestroyPlan, fence: Fence) -> StackRun:
    """Return the run that deletes every resource that may be deleted, last one first."""
    kept = _kept_resources(state, plan.retain, unprotect=plan.unprotect)
    steps = numbered_steps(
        (ResourceAction.DELETE, resource)
        for resource in deletion_order(state.resources)
        if resource.urn not in kept
    )
    return StackRun(name, fence, steps, left=tuple(kept.values()))


def _kept_resources(
    state: StackState, retain: Collection[str], *, unprotect: bool
) -> dict[Urn, RemainingResource]:
    kept: dict[Urn, RemainingResource] = {}

    def keep(resource: RecordedResource, code: str, reason: str) -> None:
        kept[resource.urn] = RemainingResource(resource.urn, resource.name, code, reason)

    names = {*retain, *map(data_resource_name, retain)}
    for resource in state.resources:
        is_child = any(_is_child(resource, urn) for urn in kept)
        if is_child or resource.name in names or resource.urn in names:
            keep(resource, "Retained", "the plan retains it")
        elif resource.protected and not unprotect:
            keep(resource, "Protected", "it is protected")
    for holder in tuple(kept.values()):
        for urn in needed_by(holder.urn, state.resources):
            needed = state.resource(urn)
            if needed is not None and urn not in kept:
                keep(needed, "HeldBy", f"{holder.name} needs it and stays")
    return kept


def _is_child(resource: RecordedResource, parent: Urn) -> bool:
    """Return whether *parent* is the parent of *resource*, as the types in their URNs say."""
    chain = f"{parent.split('::')[2]}${resource.type}"
    return parent in resource.dependencies and resource.urn.split("::")[2] == chain


def holder_of(state: StackState, run: StackRun, urn: Urn) -> str | None:
    """Return the name of a resource that was left and needs *urn*."""
    holders = (left.name for left in run.left if urn in needed_by(left.urn, state.resources))
    return next(holders, None)


def wanted_properties(
    state: StackState, node: Node, before: RecordedResource | None, action: ResourceAction
) -> dict[str, Any]:
    """Return the properties of *node* with every reference resolved.

    Raises:
        Refused: a resource does not have the output that another one needs.
    """
    wanted = resolve(node.properties, lambda reference: _output(state, reference))
    if action is ResourceAction.UPDATE and before is not None:
        wanted = keeping_ignored(before.properties, wanted, node.ignore)
    return dict(wanted)


def settled(state: StackState, graph: Graph | None) -> StackState:
    """Return the state after a run: the graph's order, dependencies and protection, outputs."""
    if graph is None:
        return replace(state, outputs={}, inputs=state.inputs if state.resources else {})
    recorded = {resource.urn: resource for resource in state.resources}
    resources = tuple(
        replace(recorded[node.urn], dependencies=node.dependencies, protected=node.protected)
        for node in graph.nodes
    )
    outputs: Properties = resolve(graph.outputs, lambda reference: _output(state, reference))
    return replace(state, resources=resources, outputs=outputs)


def _output(state: StackState, reference: Unresolved) -> Any:
    recorded = state.resource(reference.urn)
    if recorded is None or reference.output not in recorded.all_outputs:
        raise Refused(
            f"resource {reference.urn} has no output {reference.output!r}",
            code="OutputMissing",
            target=reference.urn,
        )
    return recorded.all_outputs[reference.output]
