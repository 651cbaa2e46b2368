"""What is changed in a generated environment, and which properties drift has to tell of."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random  # noqa: TID251  a test's own seeded generator
from typing import Final

from shared.kernel.ids import ModuleId
from shared.surfaces.spec import RevisionSpec
from tests.drift.generated_cluster import GeneratedCluster
from tests.drift.generated_environments import API, WEB, Environment
from tests.drift.kinds_from_documents import HARMFUL, HARMLESS

Truth = Collection[tuple[str, str]]
"""Planes and paths of the findings that have to be; empty for what is harmless."""
INSTANCES: Final = ("workload", "instances")


@dataclass
class Target:
    """The service that is changed; a change may be of another that it makes."""

    environment: Environment
    module: ModuleId

    @property
    def spec(self) -> RevisionSpec:
        return self.environment.spec(self.module)

    @property
    def random(self) -> Random:
        return self.environment.random

    @property
    def cluster(self) -> GeneratedCluster:
        assert self.environment.cluster is not None, "it is on machines"
        return self.environment.cluster


@dataclass(frozen=True)
class Mutation:
    """One kind of change; `modules` are those that have what it changes."""

    name: str
    act: Callable[[Target], Truth]
    modules: Sequence[ModuleId] = (WEB, API)
    survives: bool = False
    """A deployment that is rolled back leaves it as it is."""
    is_scaled: bool = False
    """The number of instances is the surface's, by rules of a policy."""

    @property
    def is_from_documents(self) -> bool:
        return self.name in HARMFUL | HARMLESS


def workload(*paths: str) -> Truth:
    return {("workload", path) for path in paths}
