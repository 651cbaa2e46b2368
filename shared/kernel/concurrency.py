"""Bounded parallel map."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def bounded_map(
    items: Sequence[T], work: Callable[[T], Awaitable[R]], *, at_once: int
) -> list[R]:
    """Return the result of *work* for each of *items*, in their order; *at_once* run together.

    All run to their end; then the first error is raised. A cancellation of the caller ends all.
    """
    gate = asyncio.Semaphore(at_once)

    async def run(item: T) -> R:
        async with gate:
            return await work(item)

    results = await asyncio.gather(*(run(item) for item in items), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
