"""Turns: so many pieces of work at a time, and nobody waits for all that another asked for."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


async def held(turns: FairTurns, names: Sequence[str]) -> dict[str, int]:
    """Return how many places each of *names* holds when they come in this order and stay."""
    holds: dict[str, int] = {}

    async def stay(name: str) -> None:
        async with turns.turn(name):
            holds[name] = holds.get(name, 0) + 1
            await asyncio.get_running_loop().create_future()

    tasks = [asyncio.create_task(stay(name)) for name in names]
    await LoopClock().sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return holds


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        pytest.param("a" * 100, {"a": 16}, id="one-alone-leaves-half"),
        pytest.param("a" * 100 + "b", {"a": 16, "b": 1}, id="there-is-a-place-for-the-next"),
        pytest.param("a" * 100 + "b" * 100 + "c", {"a": 16, "b": 8, "c": 1}, id="and-the-next"),
        pytest.param([""] * 100, {"": 32}, id="without-a-name-all-of-them"),
    ],
)
def test_however_long_work_takes_there_is_a_place_for_the_next_who_comes(
    names: Sequence[str], holds: dict[str, int]
) -> None:
    assert run_virtual(held(FairTurns(32), names)) == holds


def test_many_who_come_at_once_share_the_places_evenly() -> None:
    async def main() -> list[str]:
        turns, ended = FairTurns(8), list[str]()
        names = [name for _ in range(10) for name in "abcdefg"]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(work(turns, name, ended))
        return ended

    ended = run_virtual(main())

    assert all(set(ended[n : n + 7]) == set("abcdefg") for n in range(0, 70, 7))


@given(st.lists(st.tuples(st.sampled_from("abc "), st.integers(0, 3)), max_size=40))
def test_every_place_is_given_back_whoever_gives_up(asked: list[tuple[str, int]]) -> None:
    """The second of each is when it gives up; three is never."""

    async def main() -> tuple[int, int]:
        turns, ended = FairTurns(3), list[str]()
        tasks = [asyncio.create_task(work(turns, name.strip(), ended)) for name, _ in asked]
        for second in range(3):
            await LoopClock().sleep(0.5)
            for task, (_, gives_up) in zip(tasks, asked, strict=True):
                if gives_up == second:
                    task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        at_once = asyncio.gather(*(work(turns, "", ended) for _ in range(3)))
        before = asyncio.get_running_loop().time()
        await at_once
        return len(ended), int(asyncio.get_running_loop().time() - before)

    assert run_virtual(main())[1] == 1
