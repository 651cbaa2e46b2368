"""Threads of its own for what others sent: it may take seconds, and nobody else waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
THREADS: Final = 2
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="git")


async def in_git_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the result of *work*, computed beside the loop and beside its other threads."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(work, *args, **kwargs))
