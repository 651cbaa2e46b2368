"""The difference between the recorded state and the graph: pure, the same for every engine."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from local_cloud.infrastructure.state import ResourceStep, StackState
from shared.infrastructure.graph import (
    Graph,
    Node,
    Properties,
    RecordedResource,
    ResourceAction,
    ResourceIdentity,
    Unresolved,
    Urn,
    resolve,
)
from shared.infrastructure.port import PlannedChange

IN_DOUBT: Final = "(in doubt)"
_WRITES: Final = {
    ResourceAction.CREATE: ResourceAction.CREATE,
    ResourceAction.REPLACE: ResourceAction.CREATE,
    ResourceAction.UPDATE: ResourceAction.UPDATE,
}
"""The step that makes what a change declares; a replacement is deleted first."""


def planned_changes(state: StackState, graph: Graph) -> dict[Urn, PlannedChange]:
    """Return how *graph* differs from *state*: its nodes in order, then what is deleted."""
    changes: dict[Urn, PlannedChange] = {}

    def known(reference: Unresolved) -> Any:
        recorded = state.resource(reference.urn)
        action = changes[reference.urn].action if reference.urn in changes else None
        # An update in place keeps the id; any other output of it may become a new value.
        keeps_id = action is ResourceAction.UPDATE and reference.output == "id"
        is_stable = action is ResourceAction.SAME or keeps_id
        if recorded is None or not is_stable:
            return reference
        return recorded.all_outputs.get(reference.output, reference)

    for node in graph.nodes:
        recorded = state.resource(node.urn)
        action, paths = _judge(node, recorded, resolve(node.properties, known))
        changes[node.urn] = PlannedChange(
            node.urn, node.type, node.name, action, paths, node.dependencies
        )
    deletions = {
        resource.urn: PlannedChange(
            resource.urn, resource.type, resource.name, ResourceAction.DELETE
        )
        for resource in state.resources
        if resource.urn not in changes
    }
    return changes | deletions


def _judge(
    node: Node, recorded: RecordedResource | None, wanted: Properties
) -> tuple[ResourceAction, tuple[str, ...]]:
    if recorded is None:
        return ResourceAction.CREATE, ()
    paths = tuple(differing_paths(recorded.properties, wanted, node.ignore))
    if any(path.split(".")[0].split("[")[0] in node.replace_on for path in paths):
        # As in Pulumi, a replacement carries on to those whose own `replace_on` refers to it: an
        # output that is not known yet differs.
        return ResourceAction.REPLACE, paths
    if recorded.in_doubt is None:
        return (ResourceAction.UPDATE if paths else ResourceAction.SAME), paths
    # One whose delete is in doubt may be gone.
    is_deleted = recorded.in_doubt is ResourceAction.DELETE
    return ResourceAction.CREATE if is_deleted else recorded.in_doubt, (*paths, IN_DOUBT)


def planned_steps(state: StackState, graph: Graph) -> tuple[ResourceStep, ...]:
    """Return the steps, in the order of doing, that bring *state* to *graph*."""
    changes = planned_changes(state, graph)
    replaced = _urns(changes, ResourceAction.REPLACE)
    deleted = _urns(changes, ResourceAction.DELETE)
    backwards = [resource.urn for resource in deletion_order(state.resources)]
    deleted_first = [
        urn
        for urn in backwards
        if urn in replaced or (urn in deleted and replaced & needed_by(urn, state.resources))
    ]
    deleted_last = [urn for urn in backwards if urn in deleted and urn not in deleted_first]
    wanted = [changes[node.urn] for node in graph.nodes]
    return numbered_steps(
        [
            *((ResourceAction.DELETE, changes[urn]) for urn in deleted_first),
            *((_WRITES[change.action], change) for change in wanted if change.action in _WRITES),
            *((ResourceAction.DELETE, changes[urn]) for urn in deleted_last),
        ]
    )


def numbered_steps(
    planned: Iterable[tuple[ResourceAction, ResourceIdentity]],
) -> tuple[ResourceStep, ...]:
    return tuple(
        ResourceStep(resource.urn, resource.type, resource.name, index, action)
        for index, (action, resource) in enumerate(planned)
    )


def _urns(changes: Mapping[Urn, PlannedChange], action: ResourceAction) -> set[Urn]:
    return {urn for urn, change in changes.items() if change.action is action}


def needed_by(urn: Urn, resources: Iterable[RecordedResource]) -> set[Urn]:
    """Return everything that *urn* depends on, directly or not."""
    dependencies = {resource.urn: resource.dependencies for resource in resources}
    needed: set[Urn] = set()
    unvisited = list(dependencies.get(urn, ()))
    while unvisited:
        dependency = unvisited.pop()
        if dependency not in needed:
            needed.add(dependency)
            unvisited += dependencies.get(dependency, ())
    return needed


def deletion_order(resources: Iterable[RecordedResource]) -> list[RecordedResource]:
    """Return *resources* so that each stands before everything it depends on."""
    unvisited = {resource.urn: resource for resource in resources}
    ordered: list[RecordedResource] = []

    def visit(urn: Urn) -> None:
        # Taken out first: an update that failed half-way may have left a cycle in the record.
        resource = unvisited.pop(urn, None)
        if resource is not None:
            for dependency in resource.dependencies:
                visit(dependency)
            ordered.append(resource)

    while unvisited:
        visit(next(iter(unvisited)))
    return ordered[::-1]


def differing_paths(old: Any, new: Any, ignore: Iterable[str] = (), at: str = "") -> Iterator[str]:
    """Yield the paths (`tags.owner`, `subnets[0].name`) at which *old* and *new* differ.

    What is not known yet differs from everything.
    """
    if at in ignore:
        return
    match old, new:
        case Mapping(), Mapping():
            for key in sorted({*old, *new}):
                inner = f"{at}.{key}" if at else key
                if key in old and key in new:
                    yield from differing_paths(old[key], new[key], ignore, inner)
                elif inner not in ignore:
                    yield inner
        case list() | tuple(), list() | tuple() if len(old) == len(new):
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                yield from differing_paths(before, after, ignore, f"{at}[{index}]")
        case _:
            if old != new:
                yield at


def without(properties: Properties, paths: Collection[str], at: str = "") -> dict[str, Any]:
    """Return *properties* without the values at *paths*."""
    kept: dict[str, Any] = {}
    for key, value in properties.items():
        inner = f"{at}.{key}" if at else key
        if inner not in paths:
            kept[key] = without(value, paths, inner) if isinstance(value, Mapping) else value
    return kept


def keeping_ignored(old: Any, new: Any, ignore: Iterable[str], at: str = "") -> Any:
    """Return *new* with the values of *old* at the paths in *ignore*."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    kept: dict[str, Any] = {}
    for key in {**new, **old}:
        inner = f"{at}.{key}" if at else key
        if inner in ignore:
            if key in old:
                kept[key] = old[key]
        elif key in new:
            kept[key] = keeping_ignored(old.get(key), new[key], ignore, inner)
    return kept
