"""The one sweep over stored documents that are due: each is handled on its own.

An item that fails is logged, postponed with backoff, and shown in the app's health; the others are
handled all the same.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final, TypeVar

from shared.kernel.clock import Clock, isoformat
from shared.kernel.concurrency import Failure, bounded_map, isolate
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.persistence.store import (
    Comparison,
    Document,
    Page,
    Partition,
    Query,
    Replace,
    Store,
    Where,
)

AT_ONCE: Final = 8
EVERY_PAGE: Final = 100
PAGES_MAX: Final = 10
"""1,000 documents a run; the next run of the timer continues."""
_BACKOFF_FIRST_S: Final = 15.0
_BACKOFF_MAX_S: Final = 300.0
LATE: Final = timedelta(minutes=1)
"""How late a timer may come without a document counting as given up on."""

T = TypeVar("T")
Key = tuple[Partition, str]
"""The partition and id of a document."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepLog:
    """The documents that the sweeps of an app failed on, until they are handled or given up on.

    A postponed document is not due in the next runs but still undone: it stays here until it has
    been tried again.
    """

    _until: dict[str, dict[Key, datetime]] = field(default_factory=dict)
    _next_page: dict[str, Where | None] = field(default_factory=dict)

    def next_page(self, sweep: str) -> Where | None:
        """Return the condition of the next page of *sweep*; None for the first one."""
        return self._next_page.get(sweep)

    def continue_with(self, sweep: str, page: Where | None) -> None:
        """Keep the condition of the page with which *sweep* continues, also in its next run."""
        self._next_page[sweep] = page

    async def attempt(
        self, sweep: str, key: Key, work: Awaitable[T], until: datetime
    ) -> T | Failure:
        """Return the result of *work* on the document *key*, or its failure, kept *until*.

        *sweep* tries it again before that instant.
        """
        partition, document_id = key
        result = await isolate(work, f"{sweep}: {document_id} in {partition.values}")
        if isinstance(result, Failure):
            self.note(sweep, key, until)
        else:
            self.forget(sweep, key)
        return result

    async def attempt_each(
        self,
        sweep: str,
        documents: Iterable[Document],
        work: Callable[[Document], Awaitable[int]],
        until: datetime,
    ) -> int:
        """Return the sum of what *work* counts on each of *documents*; a failure counts nothing."""
        total = 0
        for document in documents:
            count = await self.attempt(sweep, _key(document), work(document), until)
            total += 0 if isinstance(count, Failure) else count
        return total

    def note(self, sweep: str, key: Key, until: datetime) -> None:
        """Count the document *key* as undone *until* then."""
        self._until.setdefault(sweep, {})[key] = until

    def forget(self, sweep: str, key: Key) -> None:
        """Count the document *key* as done."""
        self._until.get(sweep, {}).pop(key, None)

    def failures(self, now: datetime) -> Mapping[str, int]:
        """Return how many documents each sweep left undone; sweeps that left none are absent."""
        for sweep, failed in self._until.items():
            # Done meanwhile by another instance of this app, or by the change feed.
            self._until[sweep] = {key: until for key, until in failed.items() if until > now}
        return {sweep: len(failed) for sweep, failed in self._until.items() if failed}


@dataclass(frozen=True)
class Sweep:
    """One sweep over the documents of *type* in *store*, one service's container."""

    name: str
    type: str
    store: Store
    clock: Clock
    log: SweepLog

    async def run(self, handle: Callable[[Document], Awaitable[object]]) -> int:
        """Give each document whose `dueAt` has come to *handle*; return how many were due.

        *handle* moves `dueAt` on, or deletes the document. Where it raises, the document is
        postponed: 30 s, doubled at each failure up to 5 min. Where that fails too, as for a tenant
        that is throttled, the run continues after it, and so does the next one.
        """
        total, tried = 0, set[Key]()

        async def attempt(document: Document) -> object:
            return await self.attempt(document, handle(document))

        for _ in range(PAGES_MAX):
            page = await self._due(self.log.next_page(self.name))
            documents = [document for document in page.documents if _key(document) not in tried]
            tried.update(map(_key, documents))
            total += len(documents)
            for left_out in page.unreadable:
                key = (left_out.partition, left_out.id)
                self.log.note(self.name, key, self.clock.now() + LATE)
            await bounded_map(documents, attempt, at_once=AT_ONCE)
            # Documents that come again could not even be postponed, and would fill every page.
            if len(documents) < len(page.documents) or not page.more:
                self.log.continue_with(self.name, _page_after(page, "dueAt"))
            if not page.more or not page.documents:
                break
        return total

    async def attempt(self, document: Document, work: Awaitable[T]) -> T | Failure:
        """Return the result of *work* on *document*, or its failure; then postpone the document."""
        until = self._next_try(document) + LATE
        result = await self.log.attempt(self.name, _key(document), work, until)
        if isinstance(result, Failure):
            await self.postpone(document)
        return result

    async def _due(self, of_page: Where | None) -> Page:
        return await self.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, self.type),
                    Where("dueAt", Comparison.LE, isoformat(self.clock.now())),
                    *([of_page] if of_page else []),
                ],
                order_by="dueAt",
            )
        )

    async def postpone(self, document: Document) -> datetime:
        """Move the `dueAt` of *document* on, and return it.

        A document that changed meanwhile is left alone.
        """
        next_try = self._next_try(document)
        body = {**document.body, "attempts": _attempts(document), "dueAt": isoformat(next_try)}
        try:
            await self.store.batch(document.partition, [Replace(document.id, body, document.etag)])
        except (Refused, Unavailable) as problem:
            _log.debug("%s: %s was not postponed: %s", self.name, document.id, problem)
        return next_try

    def _next_try(self, document: Document) -> datetime:
        # Two to the tenth is far over the bound; a larger power is only a larger number.
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(_attempts(document), 10))
        return self.clock.now() + timedelta(seconds=delay_s)


async def every_due(type_name: str, key: str, store: Store, clock: Clock) -> Sequence[Document]:
    """Return all documents of *type_name* that are due, whatever their number.

    For what is looked at again and again without being written: their `dueAt` does not move.
    """
    return await every(type_name, key, store, Where("dueAt", Comparison.LE, isoformat(clock.now())))


async def every(type_name: str, key: str, store: Store, *conditions: Where) -> Sequence[Document]:
    """Return all documents of *type_name* of all tenants, page by page in the order of *key*.

    Of documents with one value of *key*, which tenants of one environment have, a page at most.
    """
    documents: dict[Key, Document] = {}
    of_page: Where | None = Where(key, Comparison.GT, "")
    while of_page is not None:
        page = await store.query_due(
            Query(
                where=[Where("type", Comparison.EQ, type_name), of_page, *conditions],
                order_by=key,
                limit=EVERY_PAGE,
            )
        )
        # Two tenants may have a document of one key, which begins the next page once more.
        documents |= {_key(document): document for document in page.documents}
        of_page = _page_after(page, key)
    return list(documents.values())


def _page_after(page: Page, key: str) -> Where | None:
    """Return the condition of the documents after *page*, which is in the order of *key*.

    None at the end, to begin again. Documents of one value that fill a page are passed over
    together, or it would come again.
    """
    if not page.more or not page.documents:
        return None
    first, last = page.documents[0].body[key], page.documents[-1].body[key]
    return Where(key, Comparison.GT if first == last else Comparison.GE, last)


def _key(document: Document) -> Key:
    return document.partition, document.id


def _attempts(document: Document) -> int:
    """Return the count of failures with this one; a damaged count begins again."""
    stored = document.body.get("attempts", 0)
    return (stored if isinstance(stored, int) else 0) + 1
