"""Which function answers a path: in order of function name, the first that matches.

There is no literal-first precedence in Azure, so `a_get` on `x/{id}` hides `b_health` on
`x/health`. The table finds the same answer without trying every route: a tree over the literal
segments gives the few candidates, in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from local_host.model import Binding
from local_host.routing import route_templates
from local_host.routing.route_templates import Segment, Template

T = TypeVar("T")

_BUILT_IN: Final = ("admin", "runtime")


@dataclass(frozen=True)
class Route(Generic[T]):
    """The route of one HTTP function: *name* orders it, *target* is what the caller gets back."""

    name: str
    template: Template
    methods: frozenset[str]
    """Upper-case; empty means every method."""
    target: T

    @property
    def plain_values(self) -> "tuple[tuple[int, str], ...] | None":
        """Return where the values stand in a path the tree has matched; None: ask the template."""
        segments = self.template.segments
        if any(s.pattern is not None or s.may_be_absent for s in segments):
            return None
        if any(parameter.checks for s in segments for parameter in s.parameters):
            return None
        return tuple(
            (index, s.parameters[0].name) for index, s in enumerate(segments) if s.parameters
        )

    def shares_a_method_with(self, other: "Route[T]") -> bool:
        both = self.methods & other.methods
        return bool(both) or not self.methods or not other.methods


def methods_of(trigger: Binding) -> frozenset[str]:
    listed = trigger.properties.get("methods") or ()
    return frozenset(str(method).upper() for method in listed)


def route_refusal(route: str) -> str | None:
    """Return why the host refuses a function at *route*, before any prefix.

    `/admin/*` and `/runtime/*` are the host's own, and so is whatever begins with these letters
    (`runtimes/x`): ScriptHost.ValidateHttpFunction compares the start of the text.
    """
    start = route.strip("/").lower()
    taken = next((each for each in _BUILT_IN if start.startswith(each)), None)
    if taken is None:
        return None
    return (
        f"route {route!r} conflicts with one or more built in routes: nothing may begin with"
        f" {taken!r}; put a segment in front, v1/{route.strip('/')} say"
    )


@dataclass
class _Node(Generic[T]):
    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    other: "_Node[T] | None" = None
    ends: "list[_End[T]]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _End(Generic[T]):
    order: int
    route: Route[T]
    plain: tuple[tuple[int, str], ...] | None


class RouteTable(Generic[T]):
    """Routes, compiled once."""

    def __init__(self, routes: Sequence[Route[T]]) -> None:
        self.routes = sorted(routes, key=lambda route: route.name.lower())
        self._root: _Node[T] = _Node()
        for order, route in enumerate(self.routes):
            self._add(order, route)

    def _add(self, order: int, route: Route[T]) -> None:
        node = self._root
        end = _End(order, route, route.plain_values)
        for segment in route.template.segments:
            if segment.may_be_absent:
                node.ends.append(end)
            if segment.is_catch_all:
                return
            if segment.literal is not None:
                node = node.literals.setdefault(segment.literal, _Node())
            else:
                node.other = node.other or _Node()
                node = node.other
        node.ends.append(end)

    def find(self, method: str, path: str) -> tuple[T, dict[str, str]] | None:
        """Return the target and the route values for a percent-encoded *path*."""
        parts = route_templates.split(path)
        candidates = self._candidates(parts)
        if len(candidates) > 1:
            candidates.sort(key=lambda end: end.order)
        for end in candidates:
            route = end.route
            if route.methods and method not in route.methods:
                continue
            if end.plain is not None:
                return route.target, {name: parts[index] for index, name in end.plain}
            values = route.template.match(parts)
            if values is not None:
                return route.target, values
        return None

    def _candidates(self, parts: Sequence[str]) -> list[_End[T]]:
        """Return the ends of every path through the tree; literals and lengths fit."""
        ends: list[_End[T]] = []
        nodes = [self._root]
        for part in parts:
            lowered = part.lower()
            following: list[_Node[T]] = []
            for node in nodes:
                # A way that ends before the path does is a catch-all's.
                if node.ends:
                    ends += [end for end in node.ends if end.plain is None]
                child = node.literals.get(lowered)
                if child is not None:
                    following.append(child)
                if node.other is not None:
                    following.append(node.other)
            nodes = following
        for node in nodes:
            ends += node.ends
        return ends


def conflicts(routes: Sequence[Route[T]]) -> Iterator[tuple[Route[T], Route[T]]]:
    """Yield (refused, kept) for routes of one template and overlapping methods.

    The function whose name comes first keeps the route.
    """
    kept: list[Route[T]] = []
    for route in sorted(routes, key=lambda each: each.name.lower()):
        text = route.template.text.strip("/").lower()
        holder = next(
            (
                other
                for other in kept
                if other.template.text.strip("/").lower() == text
                and route.shares_a_method_with(other)
            ),
            None,
        )
        if holder is None:
            kept.append(route)
        else:
            yield route, holder


def overlaps(routes: Sequence[Route[T]]) -> Iterator[tuple[Route[T], Route[T]]]:
    """Yield (first, hidden) for different templates that some path matches both of.

    Where constraints decide, only kinds that plainly exclude each other are told apart.
    """
    ordered = [
        (route, [segment.literal for segment in route.template.segments])
        for route in sorted(routes, key=lambda route: route.name.lower())
    ]
    for index, (first, literals) in enumerate(ordered):
        for other, others in ordered[index + 1 :]:
            # Each start of a host compares every pair, and most of them differ in a literal.
            if (
                not _differ(literals, others)
                and first.shares_a_method_with(other)
                and _meet(first.template.segments, other.template.segments)
            ):
                yield first, other


def _differ(left: Sequence[str | None], right: Sequence[str | None]) -> bool:
    for one, other in zip(left, right, strict=False):
        if one != other and one is not None and other is not None:
            return True
    return False


def _meet(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    if not left or not right:
        return all(segment.may_be_absent for segment in (*left, *right))
    if left[0].is_catch_all or right[0].is_catch_all:
        return True
    return _segments_meet(left[0], right[0]) and _meet(left[1:], right[1:])


def _segments_meet(left: Segment, right: Segment) -> bool:
    if left.literal is not None:
        return right.accepts(left.literal) is not None
    if right.literal is not None:
        return left.accepts(right.literal) is not None
    if left.pattern is not None or right.pattern is not None:
        return True
    return not _exclude(left.parameters[0].kinds, right.parameters[0].kinds)


_SORTS: Final = {
    "int": "number", "long": "number", "min": "number", "max": "number", "range": "number",
    "alpha": "letters", "bool": "letters", "guid": "guid", "datetime": "datetime",
}  # fmt: skip


def _exclude(left: Sequence[str], right: Sequence[str]) -> bool:
    sorts = [{_sort(kind) for kind in kinds} - {None} for kinds in (left, right)]
    return bool(sorts[0] and sorts[1] and not sorts[0] & sorts[1])


def _sort(kind: str) -> str | None:
    """Return what a constraint lets through; two different regular expressions are two sorts."""
    name = kind.partition("(")[0]
    return kind if name == "regex" else _SORTS.get(name)
