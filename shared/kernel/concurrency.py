"""Independent pieces of work: run together, and kept apart so that one failure stops no other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shared.kernel.errors import Refused, Unavailable

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Failure:
    """The failure of one item, kept as a value; *reason* is a sentence for an operator."""

    reason: str


async def isolate(
    work: Awaitable[T], subject: str, *, within_s: float | None = None
) -> T | Failure:
    """Return the result of *work*, or its failure, logged with *subject*, the item's name.

    Work that takes longer than *within_s* is canceled, and has failed.
    """
    try:
        async with asyncio.timeout(within_s):
            return await work
    except (Refused, Unavailable) as problem:
        _log.warning("%s: %s", subject, problem.message)
        return Failure(problem.message)
    except Exception as defect:  # noqa: BLE001  the purpose of this function
        _log.exception("%s failed", subject)
        return Failure(f"{type(defect).__name__}: {defect}")
