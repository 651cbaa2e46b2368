"""Timers that would find nothing are not run, so that idle hours cost next to nothing.

Every timer begins by asking the store of its service for what there is of a type, or is due of it.
One that got nothing gets nothing again until such a document is committed, or becomes due.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final
from unittest.mock import patch

from local_host.timer_trigger.timers import Timer
from shared.kernel.clock import isoformat
from shared.persistence.store import BatchOperation, Delete, Partition, Query, Where
from tests.kit.virtual_time import LoopClock

Kind = tuple[str, str, bool]
"""A service, a type of its documents, and whether those that are due are meant."""
Key = tuple[str, tuple[str, ...], str]


@dataclass
class Look:
    """What one run of a timer asked for, and whether it got anything, or no answer."""

    asked: dict[Kind, int] = field(default_factory=dict)
    """With how much news there was of that."""
    has_found: bool = False


_LOOK: Final[ContextVar[Look | None]] = ContextVar("look", default=None)


@dataclass
class IdleTimers:
    """The news of each kind of documents so far, and the timers that wait for more."""

    clock: LoopClock
    _news: Counter[Kind] = field(default_factory=Counter)
    _due: list[tuple[str, Key, Kind]] = field(default_factory=list)
    """When documents become due, the earliest first."""
    _due_at: dict[Key, str] = field(default_factory=dict)
    """When each document is due now: what was moved on or deleted is no news."""
    _idle: dict[str, Mapping[Kind, int]] = field(default_factory=dict)
    """By timer that got nothing: what it asked for, and the news until then."""

    def committed(
        self, service: str, partition: Partition, operations: Sequence[BatchOperation]
    ) -> None:
        for operation in operations:
            key = (service, partition.values, operation.id)
            self._due_at.pop(key, None)
            if isinstance(operation, Delete):
                continue
            kind = (service, str(operation.body.get("type")), False)
            self._news[kind] += 1
            if isinstance(due_at := operation.body.get("dueAt"), str):
                self._due_at[key] = due_at
                heappush(self._due, (due_at, key, (*kind[:2], True)))

    def begin_again(self) -> None:
        """Forget which timers got nothing: another host knows nothing of that."""
        self._idle.clear()

    def asked(self, service: str, arguments: Sequence[Any]) -> None:
        """Note what a timer asks for by type; of what it asks by other means it is not known."""
        look = _LOOK.get()
        query = next((each for each in arguments if isinstance(each, Query)), None)
        conditions = [each for each in query.where if isinstance(each, Where)] if query else []
        types = [each.value for each in conditions if each.path == "type"]
        if look is not None and types:
            is_due = any(each.path == "dueAt" for each in conditions)
            kind = (service, str(types[0]), is_due)
            look.asked.setdefault(kind, self._news_of(kind))

    def answered(self, *, is_empty: bool) -> None:
        look = _LOOK.get()
        if look is not None and not is_empty:
            look.has_found = True

    def is_idle(self, timer: str) -> bool:
        """Return whether *timer* would get nothing now."""
        asked = self._idle.get(timer)
        return bool(asked) and all(self._news_of(kind) == n for kind, n in (asked or {}).items())

    def ran(self, timer: str, look: Look) -> None:
        self._idle[timer] = {} if look.has_found else look.asked

    def _news_of(self, kind: Kind) -> int:
        now = isoformat(self.clock.now())
        while self._due and self._due[0][0] <= now:
            due_at, key, due = heappop(self._due)
            if self._due_at.get(key) == due_at:
                self._news[due] += 1
        return self._news[kind]


@contextmanager
def idle_timers_skipped(idle: IdleTimers) -> Iterator[None]:
    """Run no timer that would get nothing while this is entered."""
    fire = Timer._fire

    async def fired(timer: Timer, *arguments: Any, **named: Any) -> None:
        name = timer.function.name
        if idle.is_idle(name):
            return
        look = Look()
        token = _LOOK.set(look)
        try:
            await fire(timer, *arguments, **named)
        finally:
            _LOOK.reset(token)
        idle.ran(name, look)

    with patch.object(Timer, "_fire", fired):
        yield
