"""The one sweep over stored documents that are due: each item for itself.

An item that fails is logged, postponed with backoff, and shown in the app's health; the others are
handled all the same.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from shared.kernel.clock import Clock, isoformat
from shared.kernel.concurrency import bounded_map
from shared.kernel.errors import Unavailable
from shared.kernel.isolation import Failure, isolate
from shared.persistence.store import (
    BatchRefused,
    Comparison,
    Document,
    Query,
    Replace,
    Store,
    Where,
)

AT_ONCE: Final = 8
PAGES_MAX: Final = 10
"""1,000 documents a run; the next run of the timer goes on."""
FAILURES_KEPT: Final = 20
_BACKOFF_FIRST_S: Final = 15.0
_BACKOFF_MAX_S: Final = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepLog:
    """The items that each sweep of an app failed on in its last run, by document id."""

    _failures: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def note(self, sweep: str, failures: Mapping[str, str]) -> None:
        """Remember the *failures* of the last run of *sweep*, at most 20 of them."""
        self._failures[sweep] = dict(list(failures.items())[:FAILURES_KEPT])

    def failures(self) -> Mapping[str, Mapping[str, str]]:
        """Return the sweeps that left something undone, with the reasons."""
        return {sweep: failed for sweep, failed in self._failures.items() if failed}


@dataclass(frozen=True)
class Sweep:
    """One sweep over the documents of *type* in *store*, one service's container."""

    name: str
    type: str
    store: Store
    clock: Clock
    log: SweepLog
    at_once: int = AT_ONCE

    async def run(self, handle: Callable[[Document], Awaitable[object]]) -> int:
        """Give each document whose `dueAt` has come to *handle*; return how many were due.

        *handle* moves `dueAt` on, or deletes the document. Where it raises, the document is
        postponed: 30 s, doubled at each failure up to 5 min.
        """
        failures: dict[str, str] = {}
        total = 0

        async def handle_one(document: Document) -> None:
            result = await isolate(handle(document), f"{self.name}: {document.id}")
            if isinstance(result, Failure):
                failures[document.id] = result.reason
                await self.postpone(document)

        for _ in range(PAGES_MAX):
            due = await self._due()
            total += len(due)
            failed_before = len(failures)
            await bounded_map(due, handle_one, at_once=self.at_once)
            is_stuck = len(failures) - failed_before == len(due)
            if len(due) < Query.limit or is_stuck:
                break
        self.log.note(self.name, failures)
        return total

    async def _due(self) -> list[Document]:
        page = await self.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, self.type),
                    Where("dueAt", Comparison.LE, isoformat(self.clock.now())),
                ],
                order_by="dueAt",
            )
        )
        return list(page.documents)

    async def postpone(self, document: Document) -> None:
        """Move the `dueAt` of *document* on; a document that changed meanwhile is left alone."""
        body = postponed(document.body, self.clock.now())
        try:
            await self.store.batch(document.partition, [Replace(document.id, body, document.etag)])
        except (BatchRefused, Unavailable) as problem:
            _log.debug("%s: %s was not postponed: %s", self.name, document.id, problem)


def postponed(body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return *body* due again after a backoff that grows with its `attempts`."""
    stored = body.get("attempts", 0)
    attempts = (stored if isinstance(stored, int) else 0) + 1
    # Two to the tenth is far over the bound: a larger power only costs digits.
    delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(attempts, 10))
    due_at = isoformat(now + timedelta(seconds=delay_s))
    return {**body, "attempts": attempts, "dueAt": due_at}
