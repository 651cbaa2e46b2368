"""The loop of durable timers ends at whatever moment it is canceled."""

import asyncio
from datetime import timedelta

import pytest

from local_host.durable.durable_timers import DurableTimer, DurableTimers
from tests.kit.virtual_time import EPOCH, LoopClock, run_virtual

FAR = EPOCH + timedelta(hours=1)


def fires_nothing(timer: DurableTimer) -> None:
    raise AssertionError(timer)


@pytest.mark.parametrize("steps", range(8))
def test_it_ends_so_many_steps_after_an_earlier_timer_was_scheduled(steps: int) -> None:
    async def main() -> bool:
        clock = LoopClock()
        timers = DurableTimers(clock, fires_nothing)
        timers.schedule((FAR, "one", "e", 1))
        running = asyncio.ensure_future(timers.run())
        await clock.sleep(1)
        timers.schedule((FAR - timedelta(minutes=1), "two", "e", 1))
        for _ in range(steps):
            await clock.sleep(0)

        running.cancel()
        ended, _ = await asyncio.wait({running}, timeout=60)
        return running in ended

    assert run_virtual(main())
