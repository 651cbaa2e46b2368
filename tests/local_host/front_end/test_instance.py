"""An instance is a host process, started again whenever it ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from local_host.front_end.front_end import forwarding_session
from local_host.front_end.instance import AppProcess, Instance
from shared.kernel.clock import SystemClock
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real
APP: Final = Path(__file__).parents[1] / "sample_apps" / "asgi"


@asynccontextmanager
async def an_instance(folder: Path) -> AsyncIterator[Instance]:
    """Run an instance whose log is in *folder*/logs, which the test makes."""
    app = AppProcess("shop", APP, folder / "state", partial(dict, os.environ), "/admin/host/ping")
    async with forwarding_session() as session:
        log, starts = folder / "logs" / "shop-1.log", asyncio.Semaphore(1)
        instance = Instance(app, 1, log, session, SystemClock(), starts)
        running = asyncio.create_task(instance.run())
        try:
            yield instance
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await instance.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await SystemClock().sleep(0.05)


async def test_an_instance_that_cannot_be_started_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with an_instance(tmp_path) as instance:
        await until(lambda: "could not be started" in caplog.text)
        (tmp_path / "logs").mkdir()
        await until(lambda: instance.is_ready)


@pytest.mark.long
async def test_an_instance_that_was_killed_is_ready_again_as_another_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir()
    async with an_instance(tmp_path) as instance:
        await until(lambda: instance.is_ready)
        first = instance.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: not instance.is_ready)
        assert instance.url == ""
        await until(lambda: instance.is_ready)
        assert instance.pid != first


@pytest.mark.long
async def test_a_stopped_instance_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    async with an_instance(tmp_path) as instance:
        await until(lambda: instance.is_ready)
        pid = instance.pid
        assert pid is not None

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
