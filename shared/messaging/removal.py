"""The removal of documents that are kept no longer, by timers that read all of a type.

What ends by itself has a time to live (`DocumentCodec.kept`). A timer is for what only others
decide on, such as a release that may still be gone back to, and for what has many rows.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

from shared.kernel.concurrency import isolate
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.messaging.service_parts import ServiceParts
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import (
    BatchRefused,
    Comparison,
    Condition,
    Delete,
    Document,
    Etag,
    Partition,
    Query,
    UnreadableDocument,
    Where,
)

T = TypeVar("T")
REMOVE_EVERY: Final = timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadDocument:
    """Which document was read, without what it says: of all tenants that would be too much."""

    partition: Partition
    id: str
    etag: Etag

    @classmethod
    def of(cls, document: Document) -> "ReadDocument":
        return cls(document.partition, document.id, document.etag)


async def every_document(
    codec: DocumentCodec[T], service: ServiceParts, *where: Condition, is_whole: bool = True
) -> AsyncIterator[tuple[Document, T]]:
    """Yield every document of *codec* of all tenants, in the order of their ids.

    Raises:
        Unavailable: not all of them are known.
        UnreadableDocument: the same. If it need not be *is_whole*, those are logged and left out.
    """
    async for document in _every(codec, service, where, is_whole=is_whole):
        if is_whole:
            yield document, codec.decode(document.body)
        else:
            for found in codec.readable([document]):
                yield found
        await service.clock.sleep(0)  # others get their turn after each document


async def attempt_every(
    codec: DocumentCodec[T],
    service: ServiceParts,
    work: Callable[[Document, T], Awaitable[None]],
    *,
    timer: str,
) -> None:
    """Give every document of *codec* that can be read to *work*; one that fails stops no other.

    What is not reached is logged, and looked at by the next run of *timer*.
    """
    try:
        async for document, content in every_document(codec, service, is_whole=False):
            subject = f"{timer}: {document.id} in {document.partition.values}"
            await isolate(work(document, content), subject)
    except Unavailable as unknown:
        _log.warning("%s: the next run looks at the documents that follow: %s", timer, unknown)


async def _every(
    codec: DocumentCodec[T], service: ServiceParts, where: Sequence[Condition], *, is_whole: bool
) -> AsyncIterator[Document]:
    """Yield every document page by page. Raises as `every_document`."""
    last, seen = "", set[tuple[Partition, str]]()
    while True:
        # From the last id on, not after it: documents of several tenants may have the same.
        behind = [Where("id", Comparison.GE, last)] if last else []
        query = Query(where=[Where("type", Comparison.EQ, codec.type_name), *where, *behind])
        page = await service.store.query_due(query)
        for unreadable in page.unreadable if is_whole else ():
            raise UnreadableDocument(f"{unreadable.id}: {unreadable.reason}")
        # One that cannot be read is passed by its id as well.
        ids = [(each.partition, each.id) for each in page.documents]
        ids += [(each.partition, each.id) for each in page.unreadable]
        if page.more and seen.issuperset(ids):
            raise Unavailable(f"more documents have the id {last} than one page holds")
        for document in page.documents:
            if (document.partition, document.id) not in seen:
                yield document
        seen = set(ids)
        last = max((identity for _, identity in ids), default=last)
        if not page.more:
            return


async def remove(documents: Sequence[Document | ReadDocument], service: ServiceParts) -> bool:
    """Remove *documents*, at most 100 of one partition, exactly as they were read.

    Where one of them was written meanwhile, nothing is removed: it is read again by the next run.
    """
    if not documents:
        return True
    deletes = [Delete(each.id, each.etag) for each in documents]
    names, partition = ", ".join(each.id for each in documents), documents[0].partition
    try:
        await service.store.batch(partition, deletes)
    except BatchRefused as met:
        _log.debug("%s in %s stay: %s", names, partition.values, met)
        return False
    _log.info("removed from %s: %s", partition.values, names)
    return True
