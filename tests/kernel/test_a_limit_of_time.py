"""A limit of time ends what runs in it, also where a cancellation is lost."""

import asyncio

import pytest

from shared.kernel.time_limit import TimeLimit
from tests.kit.virtual_time import LoopClock, run_virtual


async def work(clock: LoopClock, *, loses: int) -> None:
    """Sleep for an hour, through the first *loses* cancellations."""
    for _ in range(loses):
        try:
            await clock.sleep(3600)
        except asyncio.CancelledError:
            continue
    await clock.sleep(3600)


@pytest.mark.parametrize("loses", [0, 1, 5])
def test_work_that_loses_a_cancellation_is_cancelled_again(loses: int) -> None:
    async def main() -> float:
        clock = LoopClock()
        with pytest.raises(TimeoutError):
            async with TimeLimit(2):
                await work(clock, loses=loses)
        return clock.monotonic_s()

    assert 2 <= run_virtual(main()) < 3


def test_what_ends_in_time_is_left_alone() -> None:
    async def main() -> None:
        clock = LoopClock()
        async with TimeLimit(2):
            await clock.sleep(1)
        await clock.sleep(60)

    run_virtual(main())


def test_a_failure_of_its_own_is_raised_as_it_is() -> None:
    async def fails_when_cancelled() -> None:
        async with TimeLimit(2):
            try:
                await LoopClock().sleep(3600)
            finally:
                raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_virtual(fails_when_cancelled())


@pytest.mark.parametrize("at_s", [1, 2], ids=["before-the-limit", "at-the-limit"])
def test_a_cancellation_from_outside_stays_one(at_s: float) -> None:
    async def main() -> None:
        clock = LoopClock()

        async def limited() -> None:
            async with TimeLimit(2):
                await clock.sleep(3600)

        task = asyncio.create_task(limited())
        asyncio.get_running_loop().call_later(at_s, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_the_task_may_be_limited_again() -> None:
    async def main() -> None:
        clock = LoopClock()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with TimeLimit(2):
                    await work(clock, loses=1)
        async with asyncio.timeout(10):
            await clock.sleep(5)

    run_virtual(main())
