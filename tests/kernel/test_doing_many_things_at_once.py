"""Many things at once, but not all: in order, bounded, and none left running."""

import asyncio
import gc
from datetime import timedelta
from threading import Event

import pytest

from shared.kernel.concurrency import (
    Failure,
    answered_within,
    bounded_map,
    thread_to_its_end,
)
from tests.kit.virtual_time import LoopClock, run_virtual


def test_results_come_in_the_order_of_the_items_however_long_each_takes() -> None:
    async def main() -> list[int]:
        clock = LoopClock()

        async def work(item: int) -> int:
            await clock.sleep(10 - item)
            return item

        return await bounded_map(range(10), work, at_once=4)

    assert run_virtual(main()) == list(range(10))


def test_no_more_run_together_than_was_said() -> None:
    async def main() -> tuple[int, float]:
        clock, now, most = LoopClock(), 0, 0

        async def work(_item: int) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await clock.sleep(1)
            now -= 1

        await bounded_map(range(10), work, at_once=5)
        return most, clock.monotonic_s()

    assert run_virtual(main()) == (5, 2.0)


def test_the_first_error_is_raised_after_all_have_run() -> None:
    async def main() -> list[int]:
        clock, finished = LoopClock(), list[int]()

        async def work(item: int) -> None:
            await clock.sleep(item)
            if item in {1, 3}:
                raise KeyError(item)
            finished.append(item)

        with pytest.raises(KeyError, match="1"):
            await bounded_map(range(5), work, at_once=5)
        return finished

    assert run_virtual(main()) == [0, 2, 4]


def test_a_caller_that_is_canceled_leaves_nothing_running() -> None:
    async def main() -> list[int]:
        clock, finished = LoopClock(), list[int]()

        async def work(item: int) -> None:
            await clock.sleep(item)
            finished.append(item)

        running = asyncio.ensure_future(bounded_map(range(5), work, at_once=5))
        await clock.sleep(1.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await clock.sleep(10)
        return finished

    assert run_virtual(main()) == [0, 1]


def test_a_canceled_caller_waits_for_the_end_of_its_thread() -> None:
    begun, may_end, ended = Event(), Event(), Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    async def main() -> bool:
        caller = asyncio.create_task(thread_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        caller.cancel()
        asyncio.get_running_loop().call_later(0.05, caller.cancel)
        asyncio.get_running_loop().call_later(0.1, may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await caller
        return ended.is_set()

    assert asyncio.run(main())


def test_what_a_thread_of_a_canceled_caller_raises_is_no_error_that_nobody_takes() -> None:
    begun, may_end = Event(), Event()
    logged: list[str] = []

    def work() -> None:
        begun.set()
        may_end.wait(10)
        raise LookupError("nothing there")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: logged.append(context["message"]))
        caller = asyncio.create_task(thread_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        caller.cancel()
        loop.call_later(0.05, may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await caller
        del caller
        gc.collect()

    asyncio.run(main())
    assert logged == []


def test_what_a_thread_raises_is_raised() -> None:
    def work() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(thread_to_its_end(work))


def test_who_does_not_answer_in_time_is_named_with_the_time() -> None:
    async def main() -> tuple[object, object]:
        clock = LoopClock()

        async def answer(after_s: float) -> str:
            await clock.sleep(after_s)
            return "answer"

        within = timedelta(seconds=2.5)
        return (
            await answered_within(answer(1), within, "its provider"),
            await answered_within(answer(3), within, "its provider"),
        )

    assert run_virtual(main()) == (
        "answer", Failure("its provider did not answer within 2.5 s"),
    )  # fmt: skip
