"""The findings of drift in generated environments, held against what was changed there.

`python -m tests.drift.drift_corpus 1080` prints the tables of `docs/drift-corpus.md`.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from shared.kernel.ids import ModuleId
from tests.drift.compared import DriftService
from tests.drift.generated_environments import API, NIGHT, WEB, WORKER, Environment, generated
from tests.drift.mutations import Mutation, Target
from tests.drift.mutations_of_pods import OF_PODS
from tests.drift.mutations_on_clusters import OF_OBJECTS
from tests.drift.mutations_on_machines import ON_MACHINES
from tests.drift.own_work import RULES, OwnWork, Work, policy_of
from tests.kit.told import component_of, service_of
from tests.kit.virtual_time import run_virtual

ON_CLUSTERS: Final = (*OF_PODS, *OF_OBJECTS)
KINDS: Final = (*ON_CLUSTERS, *ON_MACHINES)
Place = tuple[str, str, str]
"""Service, plane and path of a finding; the service is empty where it is the environment's own."""


class Kind(Protocol):
    """A kind of change."""

    @property
    def name(self) -> str: ...

    @property
    def is_from_documents(self) -> bool: ...


class AnyCase(Protocol):
    """The environment of one seed."""

    @property
    def seed(self) -> int: ...

    @property
    def mutation(self) -> Kind: ...

    @property
    def surface(self) -> str: ...


@dataclass(frozen=True)
class Case:
    """The environment of one seed: what is changed there, and whether the platform is at work."""

    seed: int

    @property
    def mutation(self) -> Mutation:
        return KINDS[self.seed % len(KINDS)]

    @property
    def surface(self) -> str:
        if self.mutation in ON_CLUSTERS:
            return "cluster"
        return ("memory", "machine")[self.seed // len(KINDS) // 2 % 2]

    @property
    def has_work(self) -> bool:
        return (self.seed + self.seed // len(KINDS)) % 2 == 0


@dataclass(frozen=True)
class Judged:
    """What a case has to be told, what was ever told of it, and what was open in the end."""

    case: AnyCase
    work: str | None
    truth: frozenset[Place]
    told: frozenset[Place]
    left: frozenset[Place]
    too_early: frozenset[Place]
    """Told while the platform was at work on that service."""

    @property
    def found(self) -> frozenset[Place]:
        return self.truth & self.left

    @property
    def missed(self) -> frozenset[Place]:
        return self.truth - self.left

    @property
    def false(self) -> frozenset[Place]:
        return (self.told - self.truth) | self.too_early


async def _judged(case: Case) -> Judged:
    mutation = case.mutation
    environment = await generated(case.seed, case.surface)
    target = Target(environment, environment.random.choice(mutation.modules))
    if mutation.is_scaled:
        await _scaled(environment, target.module)
    work = _work_beside(environment, target, mutation) if case.has_work else None
    if work is not None:
        await work.begin()
    due = mutation.act(target)  # it may be of a service that it makes
    truth = frozenset((str(service_of(target.module)), plane, path) for plane, path in due)
    await environment.scan_now(after_s=60)
    is_same = work is not None and work.is_deployment and work.module == target.module
    too_early = told(environment) if is_same else frozenset()
    if work is not None:
        await work.end()
    await environment.settled()
    await environment.scan(300)
    kind = None if work is None else work.work
    return Judged(case, kind, truth, told(environment), left(environment), too_early)


async def _scaled(environment: Environment, module: ModuleId) -> None:
    """Give the number of instances to the cluster's own rules, and wait until that is no work."""
    assert environment.cluster is not None, "machines have no such rules"
    number = environment.spec(module).revision
    component, fence = component_of(module), environment.fence()
    await environment.cluster.set_scaling(component, number, RULES, fence)
    await environment.hear(policy_of(module, "native"))
    await environment.scan(300)
    await environment.settled()


def _work_beside(environment: Environment, target: Target, mutation: Mutation) -> OwnWork:
    """Return work on another service, or on the same where that leaves what was changed."""
    random, work = environment.random, environment.random.choice(list(Work))
    others = [each for each in (WEB, API, WORKER, NIGHT) if each != target.module]
    module = random.choice(others)
    is_harmless_to_both = mutation.survives and not mutation.is_scaled
    if is_harmless_to_both and random.randrange(3) == 0:
        module, work = target.module, random.choice((Work.ROLLED_BACK, Work.SCALING))
    if work is Work.SCALING and module == NIGHT:
        module = WORKER if target.module != WORKER else API
    return OwnWork(environment, module, work, is_late=random.randrange(2) == 0)


def told(environment: DriftService) -> frozenset[Place]:
    return frozenset(map(_place, environment.told("RuntimeDriftDetected")))


def _place(finding: Mapping[str, Any]) -> Place:
    return finding["serviceId"] or "", finding["plane"], finding["path"]


def left(environment: DriftService) -> frozenset[Place]:
    """Return what was told last as there."""
    last = {}
    for envelope in environment.bench.sent.bodies():
        each = envelope["payload"]
        if envelope["eventType"] in {"RuntimeDriftDetected", "RuntimeDriftResolved"}:
            last[_place(each)] = envelope["eventType"]
    return frozenset(place for place, event in last.items() if event == "RuntimeDriftDetected")


def judge(seed: int) -> Judged:
    return run_virtual(_judged(Case(seed)))


@dataclass
class Counts:
    """Of findings: those that had to be, those that were, and those that were not to be."""

    cases: int = 0
    truth: int = 0
    found: int = 0
    false: int = 0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false) if self.found + self.false else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.truth if self.truth else 1.0


@dataclass
class Tables:
    """What `judged` counts to: by plane, by kind, and case by case where drift was wrong."""

    judged: Sequence[Judged]
    of: str = "of four services"
    by_plane: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_kind: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.judged:
            counts = self.by_kind[each.case.mutation.name]
            counts.cases += 1
            for name, places in (
                ("truth", each.truth), ("found", each.found), ("false", each.false),
            ):  # fmt: skip
                setattr(counts, name, getattr(counts, name) + len(places))
                for plane, count in Counter(plane for _, plane, _ in places).items():
                    of_plane = self.by_plane[plane]
                    setattr(of_plane, name, getattr(of_plane, name) + count)
            for said, places in (("missed", each.missed), ("false alarm", each.false)):
                self.wrong += [
                    f"seed {each.case.seed}, {each.case.surface}, {each.case.mutation.name}"
                    f"{f', beside {each.work}' if each.work else ''}: {said} {plane}/{path}"
                    for _, plane, path in sorted(places)
                ]

    @property
    def whole(self) -> Counts:
        counts = Counts(len(self.judged))
        for each in self.by_plane.values():
            counts.truth += each.truth
            counts.found += each.found
            counts.false += each.false
        return counts

    def __str__(self) -> str:
        harmless = sum(not each.truth for each in self.judged)
        beside = sum(each.work is not None for each in self.judged)
        surfaces = Counter(each.case.surface for each in self.judged)
        kinds = {each.case.mutation.name: each.case.mutation for each in self.judged}
        from_documents = sum(each.is_from_documents for each in kinds.values())
        size = len(self.judged)
        title = (
            f"{size:,} environments {self.of}"
            f" ({', '.join(f'{count} on {name}' for name, count in sorted(surfaces.items()))}),"
            f" {len(kinds)} kinds of change of which {from_documents} are from documents only,"
            f" {harmless / size:.0%} of the environments changed without harm, {beside / size:.0%}"
            " beside the platform's own work:"
        )
        lines = [
            title,
            "",
            "| plane | findings due | found | missed | false alarms | precision | recall |",
            "|---|---|---|---|---|---|---|",
        ]
        for plane, counts in [*sorted(self.by_plane.items()), ("all", self.whole)]:
            missed = counts.truth - counts.found
            lines.append(
                f"| {plane} | {counts.truth:,} | {counts.found:,} | {missed} | {counts.false} |"
                f" {counts.precision:.3f} | {counts.recall:.3f} |"
            )
        lines += [
            "",
            "| kind of change | from documents | cases | findings due | found | false alarms |",
            "|---|---|---|---|---|---|",
        ]
        for name, counts in self.by_kind.items():
            is_from = "yes" if kinds[name].is_from_documents else ""
            lines.append(
                f"| {name} | {is_from} | {counts.cases} | {counts.truth} | {counts.found} |"
                f" {counts.false} |"
            )
        return "\n".join([*lines, "", *(f"- {each}" for each in self.wrong or ["nothing wrong"])])


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as processes:
        in_all = [*processes.map(judge, range(int(sys.argv[1])), chunksize=8)]
    sys.stdout.write(f"{Tables(in_all)}\n")
