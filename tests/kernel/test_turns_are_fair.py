"""Turns: one piece of work at a time, and nobody waits for all that another has asked for."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.kernel.concurrency import FairTurns
from tests.kit.virtual_time import LoopClock, run_virtual


async def work(turns: FairTurns, name: str, ended: list[str]) -> None:
    async with turns.turn(name):
        await LoopClock().sleep(1)
        ended.append(name)


def ends_of(names: Sequence[str]) -> list[str]:
    async def main() -> list[str]:
        turns, ended = FairTurns(), list[str]()
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(work(turns, name, ended))
        return ended

    return run_virtual(main())


def test_one_that_comes_late_waits_for_one_piece_of_each_other() -> None:
    assert ends_of(["a"] * 40 + ["b"])[:3] == ["a", "a", "b"]


def test_those_who_wait_take_turns() -> None:
    assert ends_of(["a", "a", "a", "b", "b", "c"]) == ["a", "a", "b", "c", "a", "b"]


def test_one_piece_runs_at_a_time() -> None:
    async def main() -> float:
        turns, ended = FairTurns(), list[str]()
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*(work(turns, name, ended) for name in "abc"))
        return asyncio.get_running_loop().time() - before

    assert run_virtual(main()) == 3


@pytest.mark.parametrize("given_up", [1, 2, 3])
def test_one_that_gives_up_waiting_takes_no_turn_away(given_up: int) -> None:
    async def main() -> list[str]:
        turns, ended = FairTurns(), list[str]()
        tasks = [asyncio.create_task(work(turns, name, ended)) for name in "abcd"]
        await LoopClock().sleep(0.5)
        tasks[given_up].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return ended

    assert run_virtual(main()) == [name for n, name in enumerate("abcd") if n != given_up]


def test_a_failure_gives_the_turn_on() -> None:
    async def fail(turns: FairTurns) -> None:
        async with turns.turn("a"):
            raise ValueError

    async def main() -> list[str]:
        turns, ended = FairTurns(), list[str]()
        await asyncio.gather(fail(turns), work(turns, "b", ended), return_exceptions=True)
        return ended

    assert run_virtual(main()) == ["b"]


def test_one_that_gives_up_as_its_turn_comes_gives_it_on() -> None:
    async def main() -> list[str]:
        turns, ended = FairTurns(), list[str]()
        first = asyncio.create_task(work(turns, "a", ended))
        second = asyncio.create_task(work(turns, "b", ended))
        third = asyncio.create_task(work(turns, "c", ended))
        first.add_done_callback(lambda _: second.cancel())
        await asyncio.gather(first, second, third, return_exceptions=True)
        return ended

    assert "c" in run_virtual(main())
