"""Both adapters of the surface port, behind one fixture."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.clock import LoopClock
from shared.kernel.entropy import SeededEntropy
from shared.surfaces.memory_cluster import MemoryCluster
from shared.surfaces.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual
from tests.surfaces.stage import SITE, TEMPLATE, Stage, fence

Scenario = Callable[[Stage], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


@asynccontextmanager
async def _in_memory() -> AsyncIterator[Stage]:
    world = MemoryCluster(LoopClock(), SeededEntropy(1), requests_per_s=20)

    async def restart_host() -> MemorySurface:
        return MemorySurface(world)

    async def kill_host() -> None:
        """Nothing of this surface lives in a host."""

    def break_reads() -> None:
        world.unreadable = "the world is unreadable"

    stage = Stage(MemorySurface(world), world.clock, TEMPLATE, restart_host, kill_host, break_reads)
    await stage.surface.ensure_site(SITE, fence(1, "site"))
    yield stage


@pytest.fixture(params=["memory", pytest.param("local-process", marks=pytest.mark.real)])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Run a scenario on a fresh stage: virtual time in memory, real time on real processes."""
    if request.param == "memory":

        def play_in_memory(scenario: Scenario) -> None:
            async def run() -> None:
                async with _in_memory() as stage:
                    await scenario(stage)

            run_virtual(run())

        return play_in_memory

    from tests.surfaces.local_stage import on_this_machine

    def play_for_real(scenario: Scenario) -> None:
        async def run() -> None:
            async with on_this_machine(tmp_path) as stage:
                await scenario(stage)

        asyncio.run(run())

    return play_for_real
