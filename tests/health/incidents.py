"""Incidents in generated graphs of services: who breaks when, and what a probe of each then gets.

Nothing here knows how health finds root causes. A graph is of tiers, with shared platforms at the
bottom, a few edges back up, and edges that nobody declared. A fault spreads along the edges that
are needed, each with its own delay to fail and its own to recover; some dependants only degrade
quietly. Probes are sent at times of their own, lose an answer now and then, and restarts happen to
anybody.
"""

import heapq
import random  # noqa: TID251  a test's own seeded generator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from typing import Final

SERVICES: Final = 220
TIERS: Final = 6
INCIDENT_S: Final = 45 * 60.0
SWEEP_S: Final = 30.0
UNDECLARED: Final = 0.10


class Fault(StrEnum):
    """The ways in which a service breaks by itself, each with what a probe gets."""

    CRASH_LOOP = "crash loop"
    GONE = "nothing runs"
    HANG = "hangs"
    BUG = "answers 500"
    OVERLOAD = "answers 503 by itself"
    FLAPPING = "answers 500 on and off"
    HALF = "one of two instances crashes"


_WEIGHTS: Final = {
    Fault.CRASH_LOOP: 25, Fault.GONE: 10, Fault.HANG: 15, Fault.BUG: 20, Fault.OVERLOAD: 10,
    Fault.FLAPPING: 10, Fault.HALF: 10,
}  # fmt: skip


class Readiness(StrEnum):
    """What a service answers at its readiness probe while something that it needs is broken."""

    SHALLOW = "200, whatever is behind it"
    DEEP = "503"
    NAMING = "503, and a body that names it"
    WAITING = "nothing in time"
    CRUDE = "500"


_ANSWERS: Final = {
    Readiness.SHALLOW: 25, Readiness.DEEP: 25, Readiness.NAMING: 25, Readiness.WAITING: 15,
    Readiness.CRUDE: 10,
}  # fmt: skip


@dataclass(frozen=True)
class Edge:
    """The dependency on *to*: after `fails_s` of its outage the dependant breaks too."""

    to: int
    fails_s: float
    recovers_s: float
    is_needed: bool
    is_declared: bool


@dataclass(frozen=True)
class Outage:
    """A fault of one service from `begins_s` to `ends_s`."""

    service: int
    fault: Fault
    begins_s: float
    ends_s: float


@dataclass(frozen=True)
class Answer:
    """What one probe of all instances got: a code for each, and the entries of the bodies."""

    codes: Sequence[str]
    named: Sequence[int] = ()
    restarts: int = 0
    """So many since the last probe."""


@dataclass
class Incident:
    """One environment through 45 minutes, with two roots and faults of dependants of their own."""

    seed: int
    edges: list[list[Edge]] = field(init=False)
    readiness: list[Readiness] = field(init=False)
    roots: Sequence[Outage] = field(init=False)
    own_faults: Sequence[Outage] = field(init=False)
    broken: Mapping[int, list[tuple[float, float, int, int]]] = field(init=False)
    """Of each dependant the times in which it is broken: from, to, by which direct dependency and
    by which outage in the end."""

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self.edges = _graph(self._rng)
        self._spreads: dict[int, Mapping[int, tuple[float, float, int]]] = {}
        self._needed_by: dict[int, list[tuple[int, Edge]]] = {}
        for service, edges in enumerate(self.edges):
            for edge in edges:
                if edge.is_needed:
                    self._needed_by.setdefault(edge.to, []).append((service, edge))
        kinds, weights = zip(*_ANSWERS.items(), strict=True)
        self.readiness = self._rng.choices(kinds, weights, k=SERVICES)
        self.roots = self._two_roots()
        self.own_faults = self._faults_of_dependants()
        broken: dict[int, list[tuple[float, float, int, int]]] = {}
        for number, outage in enumerate((*self.roots, *self.own_faults)):
            for service, (fails_s, recovers_s, by) in self._spread(outage.service).items():
                spell = (outage.begins_s + fails_s, outage.ends_s + recovers_s, by, number)
                if spell[0] < outage.ends_s:
                    broken.setdefault(service, []).append(spell)
        self.broken = broken

    @property
    def outages(self) -> Sequence[Outage]:
        return (*self.roots, *self.own_faults)

    def dependants(self, service: int) -> set[int]:
        """Return the services that break sooner or later while *service* is broken."""
        return {*self._spread(service)}

    def way(self, service: int, outage: int) -> Iterator[Edge]:
        """Yield the edges by which the outage with that number breaks *service*."""
        by = {
            each: step for each, (_, _, step) in self._spread(self.outages[outage].service).items()
        }
        while service in by:
            yield next(edge for edge in self.edges[service] if edge.to == by[service])
            service = by[service]

    def sweeps(self) -> Iterator[tuple[float, Mapping[int, Answer]]]:
        """Yield the time of each sweep with the answer of each service; absent: it was unread."""
        for number in range(1, round(INCIDENT_S / SWEEP_S)):
            at_s = number * SWEEP_S
            yield (
                at_s,
                {
                    service: self._answer(service, at_s + self._rng.uniform(0.0, 8.0))
                    for service in range(SERVICES)
                    if self._rng.random() > 0.0005
                },
            )

    def _answer(self, service: int, at_s: float) -> Answer:
        for outage in self.outages:
            if outage.service == service and outage.begins_s <= at_s < outage.ends_s:
                return self._of_fault(outage.fault, at_s - outage.begins_s)
        restarts = int(self._rng.random() < SWEEP_S / (2 * 86_400))
        for begins_s, ends_s, by, _ in self.broken.get(service, ()):
            if begins_s <= at_s < ends_s:
                return self._of_dependant(service, by, restarts)
        lost = self._rng.random() < 0.001
        return Answer(("Timeout" if lost else "200", "200"), restarts=restarts)

    def _of_fault(self, fault: Fault, since_s: float) -> Answer:
        is_up = fault is Fault.FLAPPING and since_s % 170.0 > 130.0
        codes = {
            Fault.CRASH_LOOP: ("Refused", self._rng.choice(("Refused", "200"))),
            Fault.GONE: (),
            Fault.HANG: ("Timeout", "Timeout"),
            Fault.BUG: ("500", "500"),
            Fault.OVERLOAD: (self._rng.choice(("503", "Timeout")), "503"),
            Fault.FLAPPING: ("200", "200") if is_up else ("500", "500"),
            Fault.HALF: ("Refused", "200"),
        }
        crashes = fault in {Fault.CRASH_LOOP, Fault.HALF} and self._rng.random() < 0.6
        return Answer(codes[fault], restarts=int(crashes))

    def _of_dependant(self, service: int, by: int, restarts: int) -> Answer:
        readiness = self.readiness[service]
        codes = {
            Readiness.SHALLOW: ("200", "200"),
            Readiness.DEEP: ("503", "503"),
            Readiness.NAMING: ("503", "503"),
            Readiness.WAITING: ("Timeout", self._rng.choice(("Timeout", "504"))),
            Readiness.CRUDE: ("500", "500"),
        }
        return Answer(codes[readiness], (by,) if readiness is Readiness.NAMING else (), restarts)

    def _two_roots(self) -> Sequence[Outage]:
        """Return two outages at once of services that do not depend on each other."""
        by_need = sorted(range(SERVICES), key=lambda each: -len(self._spread(each)))
        wanted = by_need[: SERVICES // 3]
        first = self._rng.choice(wanted)
        others = [
            each
            for each in wanted
            if each != first and each not in self._spread(first) and first not in self._spread(each)
        ]
        begins_s = self._rng.uniform(300.0, 420.0)
        second_s = begins_s + self._rng.uniform(0.0, 90.0)
        return tuple(
            self._outage(each, at_s)
            for each, at_s in ((first, begins_s), (self._rng.choice(others), second_s))
        )

    def _faults_of_dependants(self) -> Sequence[Outage]:
        """Return faults of their own of dependants, that begin while their root is out.

        They last, as nobody mends what nobody is told of, and none hides behind another.
        """
        outages = []
        for root in self.roots:
            hit = sorted(self._spread(root.service))
            taken = {root.service for root in self.roots} | {each.service for each in outages}
            behind = set[int]().union(*(self._spread(each.service) for each in outages))
            free = [
                each
                for each in hit
                if each not in taken | behind
                and not any(other.service in self._spread(each) for other in outages)
            ]
            for _ in range(min(len(free), self._rng.randint(1, 2))):
                service = self._rng.choice(free)
                free = [each for each in free if each not in {service, *self._spread(service)}]
                free = [each for each in free if service not in self._spread(each)]
                begins_s = self._rng.uniform(root.begins_s, root.ends_s)
                outages.append(replace(self._outage(service, begins_s), ends_s=INCIDENT_S))
                if not free:
                    break
        return tuple(outages)

    def _outage(self, service: int, begins_s: float) -> Outage:
        kinds, weights = zip(*_WEIGHTS.items(), strict=True)
        lasts_s = self._rng.uniform(480.0, 1500.0)
        ends_s = min(begins_s + lasts_s, INCIDENT_S)
        return Outage(service, self._rng.choices(kinds, weights)[0], begins_s, ends_s)

    def _spread(self, root: int) -> Mapping[int, tuple[float, float, int]]:
        """Return the delays to fail and to recover of each dependant, and what breaks it."""
        if root not in self._spreads:
            self._spreads[root] = self._spread_from(root)
        return self._spreads[root]

    def _spread_from(self, root: int) -> Mapping[int, tuple[float, float, int]]:
        needed_by = self._needed_by
        order = count()
        reached: dict[int, tuple[float, float, int]] = {}
        queue = [(0.0, next(order), 0.0, root, root)]
        while queue:
            fails_s, _, recovers_s, service, by = heapq.heappop(queue)
            if service in reached or (service == root and by != root):
                continue
            if service != root:
                reached[service] = (fails_s, recovers_s, by)
            for dependant, edge in needed_by.get(service, ()):
                if dependant not in reached and dependant != root:
                    later = (fails_s + edge.fails_s, next(order), recovers_s + edge.recovers_s)
                    heapq.heappush(queue, (*later, dependant, service))
        return reached


def _graph(rng: random.Random) -> list[list[Edge]]:
    """Return the edges of each service: mostly down the tiers, to few that many need."""
    tier = [min(TIERS - 1, int(TIERS * rng.random() ** 0.8)) for _ in range(SERVICES)]
    needed = [1] * SERVICES
    edges: list[list[Edge]] = []
    for service in range(SERVICES):
        below = [each for each in range(SERVICES) if tier[each] > tier[service]]
        weights = [needed[each] for each in below]
        wanted = set(rng.choices(below, weights, k=rng.randint(1, 4)) if below else ())
        if rng.random() < 0.04:  # back up, or across: a cycle sooner or later
            wanted.add(rng.randrange(SERVICES))
        for each in wanted - {service}:
            needed[each] += 1
        edges.append([_edge(rng, each) for each in sorted(wanted - {service})])
    return edges


def _edge(rng: random.Random, to: int) -> Edge:
    return Edge(
        to,
        fails_s=min(90.0, rng.lognormvariate(1.5, 1.0)),
        recovers_s=min(150.0, rng.lognormvariate(2.5, 1.0)),
        is_needed=rng.random() < 0.8,
        is_declared=rng.random() >= UNDECLARED,
    )
