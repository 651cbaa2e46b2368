"""A defect of the supervisor is logged, and supervision begins again."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_agent.agent import LOG_BYTES_MAX, bound_logs, keep_supervising
from local_agent.site_controller import SiteController
from local_agent.supervisor import INTERVAL_S
from shared.kernel.clock import SystemClock
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import ENVIRONMENT, fence
from tests.surfaces.local_process_harness import local_process_harness


class Breaking:
    """Breaks off twice, then is told to end."""

    def __init__(self) -> None:
        self.begun = 0

    async def supervise(self) -> None:
        self.begun += 1
        if self.begun <= 2:
            raise ZeroDivisionError
        raise asyncio.CancelledError


def test_supervision_that_broke_off_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        surface: Any = Breaking()
        with caplog.at_level(logging.WARNING), suppress(asyncio.CancelledError):
            await keep_supervising(surface, LoopClock())
        return surface.begun

    assert run_virtual(main()) == 3
    assert "restarts" in caplog.text


@pytest.mark.real
async def test_a_site_that_was_deleted_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    reconcile = SiteController.reconcile

    async def counted(controller: SiteController) -> bool:
        nonlocal passes
        passes += 1
        return await reconcile(controller)

    monkeypatch.setattr(SiteController, "reconcile", counted)
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.delete_site(ENVIRONMENT, fence(1))
        await harness.clock.sleep(2 * INTERVAL_S)
        before = passes

        await harness.clock.sleep(3 * INTERVAL_S)

        assert passes == before


def test_logs_of_agent_and_proxies_have_a_bound(tmp_path: Path) -> None:
    edge = tmp_path / "surface" / "sites" / ENVIRONMENT / "edge"
    edge.mkdir(parents=True)
    logs = [tmp_path / "agent.log", edge / "envoy.log"]
    for log in logs:
        log.write_bytes(b"x" * LOG_BYTES_MAX + b"the end")

    bound_logs(tmp_path)

    before = [log.with_name(f"{log.name}.1").read_bytes() for log in logs]
    assert [log.stat().st_size for log in logs] == [0, 0]
    assert [(len(kept), kept[-7:]) for kept in before] == 2 * [(LOG_BYTES_MAX, b"the end")]


class _SetBack(SystemClock):
    """A clock that somebody sets back."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


@pytest.mark.real
async def test_an_instance_that_ended_before_the_clock_was_set_back_starts_again(
    tmp_path: Path,
) -> None:
    clock = _SetBack()
    async with local_process_harness(tmp_path, clock) as harness:
        await harness.serve(harness.worker(1))
        first = (await harness.until(lambda _: True)).revisions[0].instances[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await harness.until(lambda live: live.revisions[0].ready == 0)

        clock.shift = -timedelta(hours=1)

        await harness.until(lambda live: live.revisions[0].instances[0].pid not in {None, first})
