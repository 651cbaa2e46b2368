"""Documents whose `dueAt` is damaged: no sweep ever finds one, so the change feed mends it.

Each write of a container passes its change feed, so this costs no query, whatever is stored.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.kernel.concurrency import isolate
from shared.kernel.dataclass import dataclass
from shared.messaging.outbox import OUTBOX_TYPE
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import BatchRefused, Document, Replace, Store, UnreadableDocument

_LATEST: Final = timedelta(days=1)
"""What is due later is looked at: few documents are, such as a rotation of the next month."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DueDates:
    """Of the container *store*; `codecs` has the types of documents that sweeps look for.

    Outbox rows are among them without a codec: each is due until it has left.
    """

    store: Store
    clock: Clock
    codecs: Mapping[str, DocumentCodec[Any]]

    async def mend(self, documents: Sequence[Document]) -> None:
        """Give those of *documents* whose `dueAt` is missing, or none of ours, the right one.

        That of their content; where there is none to be had they are due at once, and the sweep
        shows in the app's health why they fail.
        """
        for document in documents:
            if self._is_swept(document) and not self._is_soon(document.body.get("dueAt")):
                subject = f"the dueAt of {document.id} in {document.partition.values}"
                await isolate(self._mend(document), subject)

    def _is_swept(self, document: Document) -> bool:
        kind = document.body.get("type")
        return kind == OUTBOX_TYPE or kind in self.codecs

    def _is_soon(self, due_at: object) -> bool:
        instant = _instant(due_at)
        return instant is not None and instant - self.clock.now() <= _LATEST

    async def _mend(self, document: Document) -> None:
        stored, due_at = document.body.get("dueAt"), self._due_at(document)
        if due_at == stored:
            return
        rest = {name: value for name, value in document.body.items() if name != "dueAt"}
        body = rest if due_at is None else {**rest, "dueAt": due_at}
        try:
            await self.store.batch(document.partition, [Replace(document.id, body, document.etag)])
        except BatchRefused as met:
            _log.debug("%s was written again meanwhile: %s", document.id, met)
            return
        where = document.partition.values
        _log.warning("%s in %s had dueAt %r: due at %s", document.id, where, stored, due_at)

    def _due_at(self, document: Document) -> str | None:
        """Return when *document* is due, by its content; None for never."""
        now, codec = isoformat(self.clock.now()), self.codecs.get(str(document.body.get("type")))
        if codec is None:
            return now
        try:
            due_at = codec.encode(codec.decode(document.body)).get("dueAt")
        except (UnreadableDocument, ValueError, TypeError):
            # One of a later version, without a `dueAt`, may have ended.
            return now if document.body.get("dueAt") is not None else None
        return due_at if due_at is None or _instant(due_at) else now


def _instant(due_at: object) -> datetime | None:
    """Return *due_at* as an instant; None where it is none."""
    try:
        return parse_instant(due_at) if isinstance(due_at, str) else None
    except (ValueError, OverflowError):
        return None
