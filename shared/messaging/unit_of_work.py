"""The write path: one bounded read, a pure decision, one batch, and the outbox.

A command or event commits its aggregate, its operation, its outbox rows and its marker together or
not at all. After a conflict or a lost answer the documents and one's own marker are read again: a
marker that is there means committed, else it is decided again, at most five times.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakValueDictionary

from shared.kernel.clock import Clock, isoformat
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Stale, Unavailable
from shared.kernel.ids import event_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.envelope import Envelope
from shared.messaging.outbox import OUTBOX_TYPE, Outgoing, Publish, Record, Row, encode, number
from shared.messaging.relay import Relay
from shared.persistence.store import (
    READ_MAX_DOCUMENTS,
    AnswerLost,
    BatchOperation,
    BatchRefused,
    Body,
    Create,
    Delete,
    Document,
    Partition,
    Replace,
    Store,
)

ATTEMPTS_MAX: Final = 5
_STEP_ASIDE_S: Final = 0.02
"""Doubled at each attempt and cut at random, so that writers who met do not meet again."""

_log = logging.getLogger(__name__)


class Contended(Unavailable):
    """Other writers of the same documents came first, five times in a row."""

    code = "Contended"


class IdempotencyKeyReused(Conflict):
    """The `Idempotency-Key` was used before, for a request with other content."""

    code = "IdempotencyKeyReused"


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
    _turns: WeakValueDictionary[Partition, asyncio.Lock] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

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
            Contended: five attempts met other writers each time.
            IdempotencyKeyReused: the marker belongs to other content.
            Stale: no document that was read has the etag that the cause expects.
            Unavailable: the store is away; nothing was written, or the marker will show it.
            Refused: what *decide* raised; nothing was written.
        """
        assert partition.tenant == scope.tenant, (partition, scope.tenant)
        ids = [*reads, cause.marker] if cause.marker else list(reads)
        is_unsure = False
        async with AsyncExitStack() as turn:
            for attempt in range(ATTEMPTS_MAX):
                if attempt == 1:
                    # Those of this process who lost go on one by one: a crowd would lose again.
                    await turn.enter_async_context(self._turn(partition))
                if attempt > 1:
                    delay_s = _STEP_ASIDE_S * 2**attempt * self.entropy.fraction()
                    await self.clock.sleep(delay_s)
                view = await self.read(partition, *ids)
                if cause.marker and (marker := view.body(cause.marker)) is not None:
                    _require_same(marker, cause)
                    return Outcome(marker["result"], is_repeat=not is_unsure)
                _require_match(view, cause)
                decision = decide(view)
                if not decision.writes and not decision.outbox:
                    return Outcome(decision.result)
                outgoing, operations = self._prepare(partition, view, decision, cause)
                try:
                    await self.store.batch(partition, operations)
                except (BatchRefused, AnswerLost) as problem:
                    _log.debug("deciding again in %s: %s", partition, problem)
                    is_unsure = isinstance(problem, AnswerLost)
                    continue
                await turn.aclose()
                await self.relay.relay(outgoing)
                return Outcome(decision.result)
        raise Contended(
            f"{ATTEMPTS_MAX} attempts met other writers of the same resource; send it again"
        )

    def _turn(self, partition: Partition) -> asyncio.Lock:
        return self._turns.setdefault(partition, asyncio.Lock())

    def _prepare(
        self, partition: Partition, view: View, decision: Decision, cause: Cause
    ) -> tuple[Outgoing, Sequence[BatchOperation]]:
        now = self.clock.now()
        rows = [*decision.outbox]
        if decision.audited:
            rows.append(self._record(partition, decision, cause))
        numbered = number(rows, now, self.entropy)
        operations = [_operation(write, view) for write in decision.writes]
        operations += [Create(row.id, encode(row.row, now)) for row in numbered]
        if cause.marker:
            marker = {
                "type": "marker",
                "result": dict(decision.result),
                "at": isoformat(now),
                "fingerprint": cause.fingerprint,
            }
            ttl_s = int(cause.marker_ttl.total_seconds())
            operations.append(Create(cause.marker, marker, ttl_s))
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


def _require_same(marker: Body, cause: Cause) -> None:
    if marker["fingerprint"] != cause.fingerprint:
        raise IdempotencyKeyReused(
            "this Idempotency-Key answered a request with other content: expected the same"
            " content or a new key",
            target="Idempotency-Key",
        )


def _require_match(view: View, cause: Cause) -> None:
    etags = {document.etag for document in view.documents.values()}
    if cause.if_match is not None and cause.if_match not in etags:
        raise Stale(
            f"If-Match: expected the current etag, got {cause.if_match[:80]!r}; read it again",
            target="If-Match",
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


def _operation(write: Put | Remove, view: View) -> BatchOperation:
    known = view.documents.get(write.id)
    match write:
        case Put(document_id, body, ttl_s):
            assert body.get("type") != OUTBOX_TYPE, "outbox rows go into Decision.outbox"
            if known is None:
                return Create(document_id, body, ttl_s)
            return Replace(document_id, body, known.etag, ttl_s)
        case Remove(document_id):
            return Delete(document_id, known.etag if known else None)
