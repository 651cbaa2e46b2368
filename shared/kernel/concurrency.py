"""Independent pieces of work: together, in fair turns, and so that one failure stops no other."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from shared.kernel.dataclass import dataclass
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


async def thread_to_its_end(work: Callable[[], T]) -> T:
    """Return the result of *work*, which is computed in a thread and so cannot be stopped.

    A caller that is canceled meanwhile waits for its end, and holds until then what it holds for
    it, such as a turn.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.exception()  # taken, or the loop would log it as one that nobody did
        raise


class FairTurns:
    """Lets *places* pieces of work run at a time, and gives each name its share of them.

    Whoever waits under a name gets every n-th turn of n: one caller with a hundred pieces of work
    delays another's first one by one piece, not by all. A name holds at most as many places as are
    left free, so that there is a place for the next who comes, however long the work takes: one
    name alone gets half of them, two a third each.
    """

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._held: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn under *name*, and hold it. Without a name it is of any free place."""
        if name not in self._waiting and self._may_take(name):
            self._take(name)
        else:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(name, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_on(name)
                raise
        try:
            yield
        finally:
            self._give_on(name)

    def _may_take(self, name: str) -> bool:
        return self._free > (self._held.get(name, 0) if name else 0)

    def _take(self, name: str) -> None:
        self._free -= 1
        self._held[name] = self._held.get(name, 0) + 1

    def _give_on(self, name: str) -> None:
        """Give the place of *name* back, and free ones to the names that wait, in their order."""
        self._free += 1
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]
        while (first := next(filter(self._may_take, self._waiting), None)) is not None:
            turns = self._waiting.pop(first)
            turn = turns.popleft()
            if turns:
                self._waiting[first] = turns  # behind the others
            if not turn.done():
                self._take(first)
                turn.set_result(None)


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


async def answered_within(work: Awaitable[T], within: timedelta, who: str) -> T | Failure:
    """Return the answer of *work*; where there is none in time, that *who* gave none."""
    within_s = within.total_seconds()
    try:
        async with asyncio.timeout(within_s):
            return await work
    except TimeoutError:
        return Failure(f"{who} did not answer within {within_s:g} s")
