"""An instance that fills its own folders is ended, and says why; others are not."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_agent import scratch
from local_agent.scratch import INTERVAL_S, ScratchMeter
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SurfaceHarness, fence
from tests.surfaces.local_process_harness import local_process_harness

GIB = 2**30
BYTES = "dd if=/dev/zero of=$HOME/big bs=1M count=3 2>/dev/null"
NAMES = "cd $TMPDIR && for i in $(seq 300); do : > $i; done"
FLOODS = [
    pytest.param(BYTES, id="bytes"),
    pytest.param(f"({NAMES})", id="names"),
    pytest.param(f"setsid sh -c '{BYTES}'", id="of-a-daemon"),
]


@pytest.fixture
async def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SurfaceHarness]:
    monkeypatch.setattr(scratch, "BYTES_MAX", 2 * 2**20)
    monkeypatch.setattr(scratch, "NAMES_MAX", 200)
    monkeypatch.setattr(scratch, "INTERVAL_S", 0.1)
    async with local_process_harness(tmp_path) as opened:
        yield opened


@pytest.mark.real
@pytest.mark.parametrize("flood", FLOODS)
async def test_an_instance_over_its_bound_is_ended_with_the_reason(
    harness: SurfaceHarness, flood: str
) -> None:
    command = ("/bin/sh", "-c", f"{flood}; exec python server.py")
    await harness.serve(harness.spec())

    await harness.surface.apply(harness.spec(2, command=command), fence(1))
    live = await harness.until(
        lambda live: bool((r := live.revision(2)) and r.instances and r.instances[0].restarts)
    )

    flooding, quiet = live.revision(2), live.revision(1)
    assert flooding is not None
    assert quiet is not None
    assert flooding.instances[0].exit_reason == "DiskExceeded"
    assert flooding.instances[0].last_exit == "disk limit exceeded"
    assert (quiet.ready, quiet.instances[0].restarts) == (1, 0)


class Disk:
    """A meter on virtual time over a disk that is told what is over its bound and what is free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, look_s: float = 0.0) -> None:
        self.clock = LoopClock()
        self.over: set[str] = set()
        self.free = SimpleNamespace(f_bfree=100 * GIB, f_frsize=1, f_ffree=10**6)
        self.looked: list[tuple[str, float]] = []
        self._look_s = look_s
        monkeypatch.setattr(os, "statvfs", lambda _: self.free)

        async def at_once(call: Callable[..., Any], *arguments: Any) -> Any:
            if call == self._is_over:
                await self.clock.sleep(self._look_s)
            return call(*arguments)

        monkeypatch.setattr(scratch.asyncio, "to_thread", at_once)
        self.meter = ScratchMeter(self.clock, Path("/"), self._is_over)

    def _is_over(self, folder: Path) -> bool:
        self.looked.append((folder.name, self.clock.monotonic_s()))
        return folder.name in self.over

    async def run(self, seconds: float, *instances: str) -> None:
        """Let *instances* be asked for, as a supervisor's passes do, for so many seconds."""
        for _ in range(int(seconds * 5)):
            for each in instances:
                self.meter.exceeds(each, Path(each))
            await self.clock.sleep(0.2)


def with_disk(test: Callable[[Disk], Any], disk: Disk) -> None:
    async def main() -> None:
        running = asyncio.ensure_future(disk.meter.run())
        await test(disk)
        running.cancel()

    run_virtual(main())


def test_only_the_start_that_was_over_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(disk: Disk) -> None:
        disk.over = {"a"}
        await disk.run(2 * INTERVAL_S + 1, "a", "b")
        assert disk.meter.exceeds("a", Path("a"))
        assert not disk.meter.exceeds("b", Path("b"))

        disk.meter.forget("a")
        disk.over, disk.looked = set(), []
        await disk.run(2 * INTERVAL_S + 1, "next-start-of-a", "b")
        assert not disk.meter.exceeds("next-start-of-a", Path("a"))
        assert {name for name, _ in disk.looked} == {"next-start-of-a", "b"}

    with_disk(test, Disk(monkeypatch))


def test_looking_takes_a_tenth_of_a_processor_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(disk: Disk) -> None:
        await disk.run(1000, "a")
        assert 8 <= len(disk.looked) <= 10

    with_disk(test, Disk(monkeypatch, look_s=10.0))


@pytest.mark.parametrize("lost", [{"f_bfree": 99 * GIB}, {"f_ffree": 10**5}])
def test_a_disk_that_fills_is_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch, lost: dict[str, int]
) -> None:
    async def test(disk: Disk) -> None:
        await disk.run(INTERVAL_S + 1, "a")
        before = len(disk.looked)
        vars(disk.free).update(lost)
        await disk.run(2.5, "a")
        assert len(disk.looked) == before + 1
        await disk.run(5, "a")
        assert len(disk.looked) == before + 1

    with_disk(test, Disk(monkeypatch))
