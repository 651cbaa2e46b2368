"""The findings of drift in the planes of generated environments, held against what was changed.

`python -m tests.drift.planes_corpus 400` prints the tables of `docs/drift-corpus.md`.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.contracts.values import ComputeTargetKind
from tests.drift.drift_corpus import Judged, Tables, left, told
from tests.drift.generated_planes import PlanesEnvironment, generated_planes
from tests.drift.isolated import believed, status
from tests.drift.mutations_on_planes import ON_PLANES, PlaneMutation
from tests.kit.virtual_time import run_virtual

SURFACES: Final = {
    ComputeTargetKind.LOCAL_PROCESS: "machine",
    ComputeTargetKind.AKS: "cluster",
}


class PlaneWork(StrEnum):
    """What the platform does meanwhile; `planes` are those that are not judged then."""

    UPDATE = "an update of the environment"
    BINDING = "another quota of the tenant"
    PUBLICATION = "a publication and its commit"

    @property
    def planes(self) -> Sequence[str]:
        return {
            PlaneWork.UPDATE: ("infrastructure", "tenancy"),
            PlaneWork.BINDING: ("tenancy",),
            PlaneWork.PUBLICATION: (),
        }[self]


@dataclass(frozen=True)
class PlaneCase:
    """The environment of one seed: what is changed there, and whether the platform is at work."""

    seed: int

    @property
    def mutation(self) -> PlaneMutation:
        return ON_PLANES[self.seed % len(ON_PLANES)]

    @property
    def kind(self) -> ComputeTargetKind:
        kinds = self.mutation.on
        return kinds[self.seed // len(ON_PLANES) // 2 % len(kinds)]

    @property
    def surface(self) -> str:
        return SURFACES[self.kind]

    @property
    def has_work(self) -> bool:
        return (self.seed + self.seed // len(ON_PLANES)) % 2 == 0


@dataclass
class WorkOnPlanes:
    """One piece of work; its event `is_late` when it comes after what it tells."""

    environment: PlanesEnvironment
    work: PlaneWork
    is_late: bool

    async def begin(self) -> None:
        if not self.is_late:
            await self._tell_begin()
        at = self.environment
        match self.work:
            case PlaneWork.UPDATE:
                self._update()
            case PlaneWork.BINDING:
                at.quota = {**at.quota, "memoryMib": 4096}
                at.live.bind(at.boundary_of())
            case PlaneWork.PUBLICATION:
                at.in_force["environment"]["ratio"] = 0.75
                await at.publish("environment")
                return
        at.live.fence += 1

    async def end(self) -> None:
        at = self.environment
        match self.work:
            case PlaneWork.UPDATE:
                await at.provision()
            case PlaneWork.BINDING:
                await at.bind()
            case PlaneWork.PUBLICATION:
                at.stated["environment"]["ratio"] = 0.75
                await at.commit()
                await at.made.look(11)

    def _update(self) -> None:
        at = self.environment
        if at.live.kind is ComputeTargetKind.AKS:
            return  # It writes the site, whose content stays.
        new = {"kind": "LocalFolder", "name": "uploads"}
        at.content["dataResources"] = [*at.content["dataResources"], new]
        at.live.volumes.append("uploads")

    async def _tell_begin(self) -> None:
        at = self.environment
        if self.work is PlaneWork.UPDATE:
            at.revision += 1
            await at.made.drift.hear(status(at.revision, "Updating"))
        elif self.work is PlaneWork.BINDING:
            await at.bind("Moving")


def _work_beside(at: PlanesEnvironment, mutation: PlaneMutation) -> WorkOnPlanes:
    """Return work that leaves what is changed."""
    is_of_git = mutation.publishes or mutation.commits
    kinds = [PlaneWork.UPDATE, PlaneWork.BINDING if is_of_git else PlaneWork.PUBLICATION]
    return WorkOnPlanes(at, at.random.choice(kinds), is_late=at.random.randrange(2) == 0)


async def _judged(case: PlaneCase) -> Judged:
    at = await generated_planes(case.seed, case.kind)
    drift, mutation = at.made.drift, case.mutation
    work = _work_beside(at, mutation) if case.has_work else None
    if work is not None:
        await work.begin()
    truth = frozenset(("", plane, path) for plane, path in mutation.act(at))
    if mutation.publishes:
        await at.publish("environment")
    if mutation.commits:
        await at.commit()
        await at.made.look(11)
    await drift.app.service.clock.sleep(30)
    await drift.scan_anew()
    held = work.work.planes if work else ()
    too_early = frozenset(each for each in told(drift) if each[1] in held)
    if work is not None:
        await work.end()
    for _ in range(2):
        await believed(drift)
    return Judged(case, work.work if work else None, truth, told(drift), left(drift), too_early)


def judge_planes(seed: int) -> Judged:
    return run_virtual(_judged(PlaneCase(seed)))


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as processes:
        in_all = [*processes.map(judge_planes, range(int(sys.argv[1])), chunksize=8)]
    sys.stdout.write(f"{Tables(in_all, 'by their own planes')}\n")
