"""A decision that is made again asks nothing outside again."""

import asyncio

import pytest

from shared.kernel.asked_once import AskedOnce
from shared.kernel.errors import Unavailable


def test_a_question_that_equals_one_before_has_its_answer() -> None:
    async def main() -> tuple[list[int], int]:
        once, asked = AskedOnce(), 0

        async def ask() -> int:
            nonlocal asked
            asked += 1
            return asked

        return [await once.ask(each, ask) for each in (["a"], ["a"], ["b"], ["a"])], asked

    assert asyncio.run(main()) == ([1, 1, 2, 1], 2)


def test_an_answer_of_none_is_one_too_and_a_failure_is_none() -> None:
    async def main() -> list[str]:
        once, asked = AskedOnce(), list[str]()

        async def nothing() -> None:
            asked.append("nothing")

        async def away() -> None:
            asked.append("away")
            raise Unavailable("away")

        for _ in range(2):
            await once.ask("nothing", nothing)
            with pytest.raises(Unavailable):
                await once.ask("away", away)
        return asked

    assert asyncio.run(main()) == ["nothing", "away", "away"]
