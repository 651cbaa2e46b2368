"""Writers that overtake each other: every order of what they ask their store, of few changes.

A writer is held before each request. Who goes on is chosen; a choice that leaves a writer who could
go on is a change. All orders with at most so many changes are tried, each from a fresh state: most
races need one or two (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, Final, TypeVar

from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock, run_virtual

T = TypeVar("T")
OF_A_STORE: Final = frozenset({"read", "read_many", "query", "batch"})
_SETTLED_S: Final = 1e-6
"""Of virtual time, which passes only when nobody has anything to do."""
_IDLE_S: Final = 0.05
_PATIENCE_S: Final = 30.0
"""A writer whose turn it is may wait so long for something else, as a timer, and keeps its turn;
then it may be for what another of them holds."""
_writer: ContextVar[str] = ContextVar("writer")


@dataclass
class Turns:
    """One order: *chosen* has whose turn it is, as far as it is given."""

    chosen: tuple[str, ...] = ()
    taken: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Whose turn it was, and who else could have had it."""
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)

    def held(self, inner: Any, methods: AbstractSet[str] = OF_A_STORE) -> Any:
        """Return *inner*, whose *methods* hold those who `run` before they do anything."""
        return _Held(inner, methods, self)

    async def run(self, writers: Mapping[str, Coroutine[Any, Any, T]]) -> Mapping[str, Any]:
        """Let *writers* work in this order; return what each returned, or raised."""
        tasks = {name: asyncio.ensure_future(_named(name, work)) for name, work in writers.items()}
        clock, last, idle_s = LoopClock(), "", 0.0
        while not all(task.done() for task in tasks.values()):
            await clock.sleep(_SETTLED_S)
            is_away = last in tasks and not tasks[last].done() and last not in self._waiting
            if not self._waiting or (is_away and idle_s < _PATIENCE_S):
                await clock.sleep(_IDLE_S)
                idle_s += _IDLE_S
            else:
                last, idle_s = self._next(last), 0.0
                self._waiting.pop(last).set()
        ended = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, ended, strict=True))

    def _next(self, last: str) -> str:
        names = sorted(self._waiting)
        number = len(self.taken)
        turn = self.chosen[number] if number < len(self.chosen) else ""
        if turn not in names:
            turn = last if last in names else names[0]
        self.taken.append((turn, tuple(each for each in names if each != turn)))
        return turn

    async def wait(self, writer: str) -> None:
        event = self._waiting[writer] = asyncio.Event()
        await event.wait()


@dataclass(frozen=True)
class _Held:
    inner: Any
    methods: AbstractSet[str]
    turns: Turns

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.inner, name)
        if name not in self.methods:
            return asked

        async def ask(*arguments: Any, **options: Any) -> Any:
            writer = _writer.get("")
            if writer:
                await self.turns.wait(writer)
            return await asked(*arguments, **options)

        return ask


async def _named(name: str, work: Coroutine[Any, Any, T]) -> T:
    _writer.set(name)
    return await work


def in_every_order(
    scenario: Callable[[Turns], Coroutine[Any, Any, T]],
    *,
    changes_max: int,
    at_most: int | None = None,
) -> Iterator[tuple[str, T]]:
    """Yield what *scenario* returns in each order, with that order; or in *at_most*, drawn.

    The scenario must do the same in the same order.
    """
    waiting: list[tuple[str, ...]] = [()]
    drawn = SeededEntropy(1)
    for _ in count() if at_most is None else range(at_most):
        if not waiting:
            return
        chosen = waiting.pop(int(drawn.fraction() * len(waiting)))
        turns = Turns(chosen)
        result = run_virtual(scenario(turns))
        order = tuple(turn for turn, _ in turns.taken)
        assert order[: len(chosen)] == chosen, "it did something else this time"
        yield " ".join(order), result
        for number in range(len(chosen), len(order)):
            for other in turns.taken[number][1]:
                again = (*order[:number], other)
                if _changes(turns, again) <= changes_max:
                    waiting.append(again)


def _changes(turns: Turns, order: tuple[str, ...]) -> int:
    """Return how often *order* leaves a writer who could go on."""
    could = [{turn, *others} for turn, others in turns.taken]
    return sum(
        before != after and before in could[number]
        for number, (before, after) in enumerate(pairwise(order), start=1)
    )
