"""A host of its own process, to be killed: supervises the folder it is given, and rolls out.

Arguments: the folder; with a second one, the artifact that it rolls out again and again, each time
as the next revision.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from local_agent.surface import LocalProcessSurface
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.observation import Present
from shared.surfaces.observed_state import LiveComponent
from tests.surfaces.harness import SHOP, TEMPLATE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import FolderBlobs


async def roll_out(harness: SurfaceHarness, revision: int, others: Iterable[int]) -> None:
    """Bring all traffic to *revision* by way of a split, then remove *others*."""
    await harness.serve(harness.spec(revision))
    before = await harness.until(lambda _: True)
    for share in (50, 100):
        split = {old: percent * (100 - share) // 100 for old, percent in before.weights.items()}
        rest = 100 - sum(p for old, p in split.items() if old != revision)
        await harness.surface.set_weights(SHOP, {**split, revision: rest}, fence(1))
    for old in others:
        await harness.surface.remove(SHOP, old, fence(1))


async def _present(harness: SurfaceHarness) -> LiveComponent:
    while True:
        reading = await harness.surface.observe(SHOP)
        if isinstance(reading, Present):
            return reading.value
        await harness.clock.sleep(0.02)


async def _roll_on(surface: LocalProcessSurface, artifact: str) -> None:
    template = replace(TEMPLATE, artifact=artifact)
    harness = SurfaceHarness(surface, SystemClock(), template, _nothing, _nothing, _nothing)
    while True:
        there = [r.revision for r in (await _present(harness)).revisions]
        await roll_out(harness, max(there) + 1, there)


def _nothing() -> None:
    """A host that is going to be killed needs no other way to end."""


async def main(folder: Path, artifact: str) -> None:
    blobs = FolderBlobs(folder / "blobs")
    surface = LocalProcessSurface(folder / "surface", blobs, SystemClock(), SystemEntropy())
    async with asyncio.TaskGroup() as group:
        group.create_task(surface.supervise())
        if artifact:
            group.create_task(_roll_on(surface, artifact))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *(sys.argv[2:] or [""])))
