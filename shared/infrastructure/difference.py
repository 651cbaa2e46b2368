"""What lies between the recorded state and the graph: pure, the same for every engine."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.infrastructure.graph import Graph, Node, Properties, Unresolved, Urn, resolve
from shared.infrastructure.port import Change, ResourceChange, Step
from shared.infrastructure.state import Recorded, StackState

IN_DOUBT: Final = "(in doubt)"


@dataclass(frozen=True)
class Difference:
    """`changes` in graph order, then what goes; `steps` in the order of doing."""

    changes: tuple[ResourceChange, ...]
    steps: tuple[Step, ...]


def difference(state: StackState, graph: Graph) -> Difference:
    """Compare *graph* with *state*; the steps' run is left empty."""
    changes = _changes(state, graph)
    return Difference(tuple(changes.values()), _steps(state, graph, changes))


def _changes(state: StackState, graph: Graph) -> dict[Urn, ResourceChange]:
    changes: dict[Urn, ResourceChange] = {}

    def known(wanted: Unresolved) -> Any:
        recorded = state.resource(wanted.urn)
        change = changes[wanted.urn].change if wanted.urn in changes else None
        # An update in place keeps the id; any other output of it may become a new value.
        is_stable = change is Change.SAME or (change is Change.UPDATE and wanted.output == "id")
        if recorded is None or not is_stable or not recorded.has(wanted.output):
            return wanted
        return recorded.output(wanted.output)

    for node in graph.nodes:
        recorded = state.resource(node.urn)
        wanted = resolve(node.properties, known)
        change, paths = _judge(node, recorded, wanted)
        changes[node.urn] = ResourceChange(node.urn, node.type, node.name, change, paths)
    for gone in state.resources:
        if gone.urn not in changes:
            changes[gone.urn] = ResourceChange(gone.urn, gone.type, gone.name, Change.DELETE)
    return changes


def _judge(
    node: Node, recorded: Recorded | None, wanted: Properties
) -> tuple[Change, tuple[str, ...]]:
    if recorded is None:
        return Change.CREATE, ()
    paths = tuple(differing_paths(recorded.properties, wanted, node.ignore))
    if any(path.split(".")[0].split("[")[0] in node.replace_on for path in paths):
        # As in Pulumi, a replacement carries on to those whose own `replace_on` refers to it: an
        # output that is not known yet differs.
        return Change.REPLACE, paths
    match recorded.in_doubt:
        case Change.CREATE | Change.DELETE:
            return Change.CREATE, (*paths, IN_DOUBT)
        case Change.UPDATE:
            return Change.UPDATE, (*paths, IN_DOUBT)
        case _:
            return (Change.UPDATE, paths) if paths else (Change.SAME, ())


def _steps(
    state: StackState, graph: Graph, changes: Mapping[Urn, ResourceChange]
) -> tuple[Step, ...]:
    replaced = {urn for urn, each in changes.items() if each.change is Change.REPLACE}
    gone = {urn for urn, each in changes.items() if each.change is Change.DELETE}
    backwards = deletion_order(state.resources)
    first = [
        each
        for each in backwards
        if each.urn in replaced or (each.urn in gone and _needs(each.urn, replaced, state))
    ]
    deleted_first = {each.urn for each in first}
    planned = [(Change.DELETE, each.urn) for each in first]
    for node in graph.nodes:
        change = changes[node.urn].change
        if change in {Change.CREATE, Change.REPLACE}:
            planned.append((Change.CREATE, node.urn))
        elif change is Change.UPDATE:
            planned.append((Change.UPDATE, node.urn))
    planned += [
        (Change.DELETE, each.urn)
        for each in backwards
        if each.urn in gone and each.urn not in deleted_first
    ]
    return tuple(
        Step("", index, verb, urn, changes[urn].type, changes[urn].name)
        for index, (verb, urn) in enumerate(planned)
    )


def _needs(urn: Urn, targets: set[Urn], state: StackState) -> bool:
    return bool(targets & needed_by(urn, state.resources))


def needed_by(urn: Urn, resources: Iterable[Recorded]) -> set[Urn]:
    """Return everything that *urn* depends on, directly or not."""
    dependencies = {each.urn: each.dependencies for each in resources}
    found: set[Urn] = set()
    ahead = list(dependencies.get(urn, ()))
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += dependencies.get(each, ())
    return found


def deletion_order(resources: Iterable[Recorded]) -> list[Recorded]:
    """Return *resources* so that each stands before everything it depends on."""
    by_urn = {each.urn: each for each in resources}
    ordered: dict[Urn, Recorded] = {}

    def visit(urn: Urn, path: frozenset[Urn]) -> None:
        if urn not in by_urn or urn in ordered or urn in path:
            return
        for dependency in by_urn[urn].dependencies:
            visit(dependency, path | {urn})
        ordered[urn] = by_urn[urn]

    for urn in by_urn:
        visit(urn, frozenset())
    return list(reversed(ordered.values()))


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
