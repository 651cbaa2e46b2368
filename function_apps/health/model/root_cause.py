"""Root causes: the failing dependency that explains a failing service, in one environment.

A dependency explains a service when it fails too, and began a bounded time before it, or hardly
later: both are seen by probes only. It may do so through services that look well: their readiness
need not ask for what they depend on. What a service shows of itself (its process restarts, or does
not listen) is a fault of its own, which nothing explains. The cause of the cause is named: the last
service on the way that nothing explains.

The graph is what dependsOn[] says and what applications name as failing in their health bodies. An
edge that neither has explains nothing: such a service is its own cause, and is alerted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from shared.contracts.health import HealthDefaults, HealthStatus, RootCause
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class ServiceState:
    """A service of one environment as health knows it after its last probe.

    `failing_since` is None while it does not fail, `passing_since` while no probe of it passes: in
    a crash loop it may do both. `depends_on` has the modules that it needs.
    """

    service_id: str
    module_id: str
    status: HealthStatus
    since: datetime
    depends_on: frozenset[str] = frozenset()
    failing_since: datetime | None = None
    passing_since: datetime | None = None
    has_own_fault: bool = False
    explained_by: RootCause | None = None
    """As it was before."""

    def breaks_others(self, recovered_after: datetime) -> bool:
        """Return whether what calls it may fail by it: it fails, or did until shortly before.

        Its dependants need time to recover.
        """
        return self.passing_since is None or self.passing_since >= recovered_after

    def as_cause(self) -> RootCause:
        return RootCause(
            service_id=self.service_id,
            module_id=self.module_id,
            status=self.status,
            since=self.failing_since or self.since,
        )


def find_root_causes(
    states: Sequence[ServiceState], now: datetime, rules: HealthDefaults
) -> Mapping[str, RootCause]:
    """Return the root cause of each failing service of *states* that another one explains."""
    recovered_after = now - rules.recovered_within
    graph = _Graph(states, recovered_after, rules)
    causes = dict[str, RootCause]()
    known = {state.service_id: state for state in states}
    for state, root in graph.roots():
        cause = _earlier_cause(root, known, recovered_after)
        if cause is None and root is not state:
            cause = root.as_cause()
        if cause is not None and cause.service_id != state.service_id:
            causes[state.service_id] = cause
    return causes


def _earlier_cause(
    state: ServiceState, known: Mapping[str, ServiceState], recovered_after: datetime
) -> RootCause | None:
    """Return what explained *state* before, if it still does."""
    if state.explained_by is None or state.has_own_fault:
        return None
    root = known.get(state.explained_by.service_id)
    return state.explained_by if root and root.breaks_others(recovered_after) else None


@dataclass
class _Graph:
    """The failing services, and of each the failing dependencies that explain it.

    Tarjan's algorithm gives the groups of services that explain each other, dependencies first.
    """

    states: Sequence[ServiceState]
    recovered_after: datetime
    rules: HealthDefaults
    _all: dict[str, ServiceState] = field(init=False)
    _failing: dict[str, ServiceState] = field(init=False)
    _breaking: set[str] = field(init=False)
    _explaining: dict[str, Sequence[str]] = field(init=False)
    _roots: dict[str, ServiceState] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._all = {state.module_id: state for state in self.states}
        self._failing = {
            state.module_id: state for state in self.states if state.failing_since is not None
        }
        self._breaking = {
            name
            for name, state in self._failing.items()
            if state.breaks_others(self.recovered_after)
        }
        self._explaining = {name: self._find_explaining(name) for name in self._failing}

    def roots(self) -> Iterator[tuple[ServiceState, ServiceState]]:
        """Yield each failing service with its root, which is itself where nothing explains it."""
        for group in _groups(self._explaining):
            self._roots.update(self._roots_of(group))
        for name, state in self._failing.items():
            yield state, self._roots[name]

    def _find_explaining(self, name: str) -> Sequence[str]:
        """Return the failing dependencies that explain the service *name*, the likeliest first."""
        state = self._failing[name]
        if state.has_own_fault:
            return ()
        steps = self._failing_below(name)
        lags = {each: _lag(self._failing[each], state) for each in steps}
        return sorted(
            (
                each
                for each, lag in lags.items()
                if -self.rules.spreads_within <= lag <= self.rules.explained_within
            ),
            key=lambda each: (steps[each], lags[each] > timedelta(0), abs(lags[each]), each),
        )

    def _failing_below(self, name: str) -> Mapping[str, int]:
        """Return the failing services that *name* depends on, each with the steps to it.

        The way to them leads through services that do not fail.
        """
        steps, reached, found = 0, {name}, dict[str, int]()
        level = [name]
        while level:
            steps += 1
            below = {each for here in level for each in self._all[here].depends_on} - reached
            reached |= below
            known = below & self._all.keys()
            found |= dict.fromkeys(known & self._breaking, steps)
            level = [each for each in known if each not in self._breaking]
        return found

    def _roots_of(self, group: Sequence[str]) -> Mapping[str, ServiceState]:
        """Return the roots of services that explain each other, or of one alone.

        What explains them from outside comes first; else the one that failed first is the root.
        """
        inside = frozenset(group)
        outside = {
            name: self._roots[explaining[0]]
            for name in group
            if (explaining := [each for each in self._explaining[name] if each not in inside])
        }
        members = [self._failing[name] for name in group]
        entered = [state for state in members if state.module_id in outside]
        first = min(entered or members, key=_failed_first)
        root = outside.get(first.module_id, first)
        return {name: outside.get(name, root) for name in group}


def _failed_first(state: ServiceState) -> tuple[datetime, str]:
    assert state.failing_since is not None, state
    return state.failing_since, state.module_id


def _lag(dependency: ServiceState, state: ServiceState) -> timedelta:
    """Return by how much *dependency* failed later than *state*; negative where earlier."""
    assert dependency.failing_since is not None, dependency
    assert state.failing_since is not None, state
    return dependency.failing_since - state.failing_since


def _groups(edges: Mapping[str, Sequence[str]]) -> Iterator[Sequence[str]]:
    """Yield the strongly connected components of *edges*, each after those that it leads to.

    Tarjan's algorithm without recursion: a chain of dependencies may be long.
    """
    index = dict[str, int]()
    low = dict[str, int]()
    path = list[str]()
    on_path = set[str]()
    for start in edges:
        if start in index:
            continue
        work = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        path.append(start)
        on_path.add(start)
        while work:
            name, following = work[-1]
            for each in following:
                if each not in index:
                    index[each] = low[each] = len(index)
                    path.append(each)
                    on_path.add(each)
                    work.append((each, iter(edges[each])))
                    break
                if each in on_path:
                    low[name] = min(low[name], index[each])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    group = path[path.index(name) :]
                    del path[path.index(name) :]
                    on_path.difference_update(group)
                    yield group
