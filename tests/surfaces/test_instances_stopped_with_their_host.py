"""An instance that ended while nobody supervised it is told from one that ends by itself."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local_agent.shutdown import stop_everything
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.spec import HttpProbe
from tests.surfaces.harness import SurfaceHarness
from tests.surfaces.local_process_harness import local_process_harness

pytestmark = pytest.mark.real
LATE = HttpProbe("/", period_s=0.1, initial_delay_s=5.0)
"""After the first look, also where a start takes seconds because the machine is busy."""


def only(live: LiveComponent) -> Instance:
    return live.revisions[0].instances[0]


@asynccontextmanager
async def resumed(folder: Path) -> AsyncIterator[SurfaceHarness]:
    """Have a service that runs again after everything was stopped, as `runtimectl down` does it."""
    async with local_process_harness(folder) as harness:
        await harness.serve(harness.spec(1, readiness=LATE), weights={1: 100})
        await harness.kill_host()
        await stop_everything(folder / "surface", harness.clock)
        await harness.restart()
        yield harness


async def test_an_instance_that_was_stopped_with_its_host_is_resuming_until_it_is_ready(
    tmp_path: Path,
) -> None:
    async with resumed(tmp_path) as harness:
        starting = only(await harness.until(lambda _: True))
        ready = only(await harness.until(lambda live: live.revisions[0].ready == 1))

    assert (starting.is_ready, starting.is_resuming) == (False, True)
    assert (ready.is_resuming, ready.restarts) == (False, 0)


async def test_an_instance_that_ends_by_itself_after_that_is_not_resuming(tmp_path: Path) -> None:
    async with resumed(tmp_path) as harness:
        starting = only(await harness.until(lambda live: only(live).pid is not None))
        assert starting.pid is not None
        os.kill(starting.pid, 9)
        again = only(await harness.until(lambda live: only(live).restarts == 1))

    assert (starting.is_resuming, again.is_resuming) == (True, False)


async def test_the_time_of_its_last_restart_outlives_the_host(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        first = only(await harness.until(lambda _: True))
        os.kill(first.pid or 0, 9)
        crashed = only(await harness.until(lambda live: bool(only(live).restarted_at)))
        await harness.kill_host()
        await stop_everything(tmp_path / "surface", harness.clock)
        await harness.restart()
        again = only(await harness.until(lambda live: only(live).started_at > crashed.started_at))

    assert first.restarted_at is None
    assert crashed.restarted_at == crashed.started_at == again.restarted_at
    assert (crashed.restarts, again.restarts) == (1, 1)


async def test_an_instance_that_outlived_its_host_is_not_resuming(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        await harness.kill_host()
        await harness.restart()
        adopted = only(await harness.until(lambda _: True))

    assert (adopted.is_ready, adopted.is_resuming) == (True, False)
