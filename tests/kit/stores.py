"""A store under test with the clock it reads, and a reader of its whole change feed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.persistence.store import Document, Store
from tests.kit.virtual_time import EPOCH


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = EPOCH

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - EPOCH).total_seconds()

    async def sleep(self, delay_s: float) -> None:
        self.at += timedelta(seconds=delay_s)

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Opened:
    store: Store
    clock: HandClock


async def all_changes(store: Store) -> list[Document]:
    """Return the latest version of every document, range by range, in each in order of writes."""
    found: list[Document] = []
    for feed_range in await store.feed_ranges():
        continuation: str | None = None
        while True:
            page = await store.changes(feed_range, continuation)
            if not page.documents:
                break
            found += page.documents
            continuation = page.continuation
    return found
