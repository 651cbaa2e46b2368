"""The write path: one bounded read, a pure decision, one batch, and the outbox.

A command or event commits its aggregate, its operation, its outbox rows and its marker together or
not at all. After a conflict or a lost answer the documents and one's own marker are read again: a
marker that is there means committed, else it is decided again, at most five times.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from shared.kernel.clock import Clock, isoformat
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict
from shared.kernel.ids import event_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.envelope import Envelope
from shared.messaging.outbox import OUTBOX_TYPE, Outgoing, Publish, Record, Row, encode, number
from shared.messaging.relay import Relay
from shared.persistence.store import (
    READ_MAX_DOCUMENTS,
    AnswerLost,
    BatchRefused,
    Body,
    Create,
    Delete,
    Document,
    Operation,
    Partition,
    Replace,
    Store,
)

ATTEMPTS_MAX: Final = 5
MARKER_TTL: Final = timedelta(days=7)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """What the one read found; an id that is not there is absent."""

    documents: Mapping[str, Document]

    def body(self, document_id: str) -> Body | None:
        document = self.documents.get(document_id)
        return None if document is None else document.body

    def etag(self, document_id: str) -> str | None:
        document = self.documents.get(document_id)
        return None if document is None else document.etag


@dataclass(frozen=True)
class Put:
    """Create the document, or replace exactly the version that was read."""

    id: str
    body: Body
    ttl_s: int | None = None


@dataclass(frozen=True)
class Remove:
    """Delete exactly the version that was read."""

    id: str


@dataclass(frozen=True)
class Audited:
    """What the audit trail says of a decision: the action, its target, and how it ended."""

    action: str
    target: str
    outcome: str = "Accepted"


@dataclass(frozen=True)
class Decision:
    """What to write and what goes out. Neither means that nothing changes and nothing leaves.

    `result` is JSON and is stored in the marker: it answers the same input when it comes again.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    writes: Sequence[Put | Remove] = ()
    outbox: Sequence[Row] = ()
    audited: Audited | None = None


@dataclass(frozen=True)
class Outcome:
    """`is_repeat`: the marker was there, and *result* is the first answer."""

    result: Mapping[str, Any]
    is_repeat: bool = False


NOTHING: Final = Decision()


@dataclass(frozen=True)
class UnitOfWork:
    """The write path over one service's container."""

    service: str
    store: Store
    relay: Relay
    clock: Clock
    entropy: Entropy

    async def read(self, partition: Partition, *ids: str) -> View:
        """Return what is there of at most 8 *ids*, in one request."""
        assert len(ids) <= READ_MAX_DOCUMENTS, ids
        return View(await self.store.read_many(partition, ids))

    async def write(
        self,
        scope: Scope,
        partition: Partition,
        reads: Sequence[str],
        decide: Callable[[View], Decision],
        cause: Cause,
    ) -> Outcome:
        """Read *reads*, let *decide* choose, and commit that in one batch under the etags read.

        *decide* is pure and may be called again with newer documents.

        Raises:
            Conflict: five attempts met other writers each time.
            Unavailable: the store is away; nothing was written, or the marker will show it.
            Refused: what *decide* raised; nothing was written.
        """
        assert partition.tenant == scope.tenant, (partition, scope.tenant)
        ids = [*reads, cause.marker] if cause.marker else list(reads)
        for _ in range(ATTEMPTS_MAX):
            view = await self.read(partition, *ids)
            if cause.marker and (marker := view.body(cause.marker)) is not None:
                return Outcome(marker["result"], is_repeat=True)
            decision = decide(view)
            if not decision.writes and not decision.outbox:
                return Outcome(decision.result)
            outgoing, operations = self._prepare(partition, view, decision, cause)
            try:
                await self.store.batch(partition, operations)
            except (BatchRefused, AnswerLost) as problem:
                _log.debug("deciding again in %s: %s", partition, problem)
                continue
            await self.relay.relay(outgoing)
            return Outcome(decision.result)
        raise Conflict(
            f"{ATTEMPTS_MAX} attempts met other writers of the same resource; send it again",
            code="Contended",
        )

    def _prepare(
        self, partition: Partition, view: View, decision: Decision, cause: Cause
    ) -> tuple[Outgoing, Sequence[Operation]]:
        now = self.clock.now()
        rows = [*decision.outbox]
        if decision.audited:
            rows.append(self._record(partition, decision, cause))
        numbered = number(rows, now, self.entropy)
        operations = [_operation(write, view) for write in decision.writes]
        operations += [Create(row.id, encode(row.row, now)) for row in numbered]
        if cause.marker:
            marker = {"type": "marker", "result": dict(decision.result), "at": isoformat(now)}
            operations.append(Create(cause.marker, marker, ttl_s=int(MARKER_TTL.total_seconds())))
        return Outgoing(partition, numbered), operations

    def _record(self, partition: Partition, decision: Decision, cause: Cause) -> Record:
        audited = decision.audited
        assert audited is not None
        return Record(
            record_id=event_id(self.entropy),
            tenant=partition.tenant,
            environment=partition.environment,
            actor=cause.actor,
            action=audited.action,
            target=audited.target,
            outcome=audited.outcome,
            cause_kind=cause.kind,
            cause=cause.reference,
            trace_id=cause.trace_id,
            at=isoformat(self.clock.now()),
            events=tuple(
                _mention(row.envelope) for row in decision.outbox if isinstance(row, Publish)
            ),
        )


def _mention(envelope: Envelope) -> Mapping[str, Any]:
    return {
        "eventId": envelope.event_id,
        "eventType": envelope.event_type,
        "aggregateId": envelope.payload.get("aggregateId"),
        "revision": envelope.payload.get("revision"),
        "correlationId": envelope.correlation_id,
        "causationId": envelope.causation_id,
        "occurredAt": isoformat(envelope.occurred_at),
    }


def _operation(write: Put | Remove, view: View) -> Operation:
    known = view.documents.get(write.id)
    match write:
        case Put(document_id, body, ttl_s):
            assert body.get("type") != OUTBOX_TYPE, "outbox rows go into Decision.outbox"
            if known is None:
                return Create(document_id, body, ttl_s)
            return Replace(document_id, body, known.etag, ttl_s)
        case Remove(document_id):
            return Delete(document_id, known.etag if known else None)
