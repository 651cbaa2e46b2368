"""Runs of a timer over the documents of all tenants, in which no tenant delays another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.concurrency import FairTurns, bounded_map
from shared.kernel.dataclass import dataclass
from shared.messaging.sweep import Key
from shared.persistence.store import Document

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FairRuns:
    """The runs of one timer, with *places* for work at a time.

    Tenants take turns: one alone has half of the places, so that there is one for the next who
    comes, however long others take. Each tenant begins with what waited longest: what a run did not
    reach, or cut off, is first in the next.
    """

    places: int
    _begun: dict[Key, datetime] = field(default_factory=dict)
    """When this process gave each document its turn."""

    async def run(
        self,
        name: str,
        documents: Sequence[Document],
        work: Callable[[Document], Awaitable[object]],
        *,
        within: timedelta,
        clock: Clock,
    ) -> None:
        """Give each of *documents* to *work*, which keeps its failures to itself.

        After *within* the run ends, whatever it waits for.
        """
        turns = FairTurns(self.places)

        async def in_turn(document: Document) -> None:
            async with turns.turn(document.partition.tenant):
                with self._noted(_key(document), clock):
                    await work(document)

        self._forget_gone(documents)
        ordered = sorted(documents, key=lambda each: self._begun.get(_key(each), _NEVER))
        try:
            async with asyncio.timeout(within.total_seconds()):
                await bounded_map(ordered, in_turn, at_once=max(1, len(ordered)))
        except TimeoutError:
            _log.warning("%s: not all of %d had their turn; they are next", name, len(ordered))

    def _forget_gone(self, documents: Sequence[Document]) -> None:
        """Forget the turns of all but *documents*."""
        for gone in self._begun.keys() - set(map(_key, documents)):
            del self._begun[gone]

    @contextmanager
    def _noted(self, key: Key, clock: Clock) -> Iterator[None]:
        """Note the turn of *key*; what is cut off with its run keeps its place."""
        before, self._begun[key] = self._begun.get(key, _NEVER), clock.now()
        try:
            yield
        except asyncio.CancelledError:
            self._begun[key] = before
            raise


def _key(document: Document) -> Key:
    return document.partition, document.id
