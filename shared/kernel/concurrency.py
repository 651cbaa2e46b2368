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

    tasks = [asyncio.ensure_future(run(item)) for item in items]
    try:
        await asyncio.wait(tasks) if tasks else None
    finally:
        for task in tasks:
            task.cancel()
    return [task.result() for task in tasks]
