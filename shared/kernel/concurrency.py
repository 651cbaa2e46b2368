"""Independent pieces of work: together, in fair turns, and so that one failure stops no other."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
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


class FairTurns:
    """Lets one piece of work run at a time; whoever waits under a name gets every n-th turn of n.

    One caller with a hundred pieces of work delays another's first one by one piece, not by all.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn under *name*, and hold it."""
        if self._is_taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(name, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_on()
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._give_on()

    def _give_on(self) -> None:
        """Give the turn to the first name that waits, which goes behind the others."""
        self._is_taken = False
        while self._waiting:
            name = next(iter(self._waiting))
            turns = self._waiting.pop(name)
            turn = turns.popleft()
            if turns:
                self._waiting[name] = turns
            if not turn.done():
                self._is_taken = True
                turn.set_result(None)
                return


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
