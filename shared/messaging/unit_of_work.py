"""The write path: one bounded read, a decision, one batch, and the outbox.

A command that takes an aggregate over reads a second time: the operation that it closes, whose id
stands in the aggregate.

A command or event commits its aggregate, its operation, its outbox rows and its marker together or
not at all. After a conflict or a lost answer the documents and one's own marker are read again: a
marker that is there means committed, else it is decided again, at most five times.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from shared.contracts.retention import Retention
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import isolate
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict, Refused, Stale, Unavailable
from shared.kernel.ids import TenantId
from shared.messaging.outbox import OUTBOX_TYPE, Audited, Committed, Row, encode
from shared.messaging.outbox_rows import stored_rows
from shared.messaging.relay import Relay
from shared.persistence.codec import DocumentCodec, Put
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
    partition_of,
)

if TYPE_CHECKING:
    from shared.messaging.commit_figures import CommitFigures

T = TypeVar("T")
ATTEMPTS_MAX: Final = 5
_BACKOFF_S: Final = 0.02
"""Doubled at each attempt and cut at random, so that writers who met do not meet again."""

_log = logging.getLogger(__name__)


class WriteContention(Unavailable):
    """Other writers of the same documents came first, five times in a row."""


class IdempotencyKeyReused(Conflict):
    """The `Idempotency-Key` was used before, for a request with other content."""


@dataclass(frozen=True)
class View:
    """The documents that the one read found; an id that is not there is absent."""

    documents: Mapping[str, Document]

    def find(self, codec: DocumentCodec[T], identity: str) -> T | None:
        """Return the aggregate *identity*; None when it is not there."""
        document = self.documents.get(codec.document_id(identity))
        return None if document is None else codec.decode(document.body)

    def get(self, codec: DocumentCodec[T], identity: str) -> T:
        """Return the aggregate *identity*, or the codec's initial one. Raises its NotFound."""
        document = self.documents.get(codec.document_id(identity))
        return codec.absent(identity) if document is None else codec.decode(document.body)

    def readable(self, codec: DocumentCodec[T], identity: str) -> T | None:
        """Return the aggregate *identity*; None where it is not there or, logged, is damaged."""
        document = self.documents.get(codec.document_id(identity))
        values = codec.readable([] if document is None else [document])
        return values[0][1] if values else None

    def body(self, document_id: str) -> Body | None:
        document = self.documents.get(document_id)
        return None if document is None else document.body

    def etag(self, document_id: str) -> str | None:
        document = self.documents.get(document_id)
        return None if document is None else document.etag


@dataclass(frozen=True)
class Remove:
    """Delete exactly the version that was read."""

    id: str


@dataclass(frozen=True)
class Decision(Generic[T]):
    """The writes, the outgoing rows and the audit record. With none, nothing changes or leaves.

    Only a caller's key or a command's id is then remembered: its repeat gets the same answer,
    whatever changed since.
    `value` is what the caller is given. Under a marker it is JSON and stored there: it answers the
    same input when it comes again.
    """

    value: T
    writes: Sequence[Put | Remove] = ()
    outbox: Sequence[Row] = ()
    audited: Audited | None = None
    is_repeat: bool = False
    """It answers what was asked for before, and changes nothing."""
    refusal: Refused | None = None
    """Raised once the audit record is committed, alone: no marker answers what was refused."""


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """`is_repeat`: *value* is the answer to what was asked for before."""

    value: T
    is_repeat: bool = False


Json = Mapping[str, Any]
NOTHING: Final[Decision[Json]] = Decision({})
"""The answer to a message that changes nothing."""

Decide = Callable[[View], Decision[T] | Awaitable[Decision[T]]]
"""Decides on the documents that were read, and changes nothing itself.

Asked only when no marker answers the repeat, so it may ask outside for what changes with time. It
may be asked again with newer documents; what does not depend on them it asks outside only once
(`shared.kernel.asked_once`).
"""
Linked = Callable[[View], Sequence[str]]
"""Names further documents that the ones read refer to, such as an operation to be closed.

It is asked again with those, until it names no other.
"""


@dataclass(frozen=True)
class UnitOfWork:
    """The write path over one service's container."""

    service: str
    store: Store
    relay: Relay
    retention: Retention = field(default_factory=Retention)
    _turns: WeakValueDictionary[Partition, asyncio.Lock] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    async def read(self, partition: Partition, *ids: str) -> View:
        """Return the documents of at most 8 *ids*, in one request."""
        assert len(ids) <= READ_MAX_DOCUMENTS, ids
        return View(await self.store.read_many(partition, ids))

    async def read_for_plan(self, codec: DocumentCodec[T], identity: str, ctx: Context) -> View:
        """Return the view with the aggregate that a dry run is planned on.

        Raises:
            Stale: as `commit`, which the plan is of.
        """
        document_id = codec.document_id(identity)
        view = await self.read(partition_of(ctx.tenant, identity), document_id)
        _require_match(view, [document_id], ctx, codec)
        return view

    async def load(self, codec: DocumentCodec[T], identity: str, tenant: TenantId) -> T:
        """Return the aggregate *identity* of *tenant*, as `View.get`. Raises its NotFound."""
        partition = partition_of(tenant, identity)
        return (await self.read(partition, codec.document_id(identity))).get(codec, identity)

    async def find(self, codec: DocumentCodec[T], identity: str, tenant: TenantId) -> T | None:
        """Return the aggregate *identity* of *tenant*; None when it is not there."""
        partition = partition_of(tenant, identity)
        return (await self.read(partition, codec.document_id(identity))).find(codec, identity)

    async def answered(self, ctx: Context, partition: Partition, aggregate: str) -> View | None:
        """Return *aggregate* as it is read; None where the marker in *ctx* shows a repeat.

        Raises:
            IdempotencyKeyReused, Stale: as `commit`, before work that is not part of a commit.
        """
        marker_id = ctx.cause.marker
        view = await self.read(partition, aggregate, *([marker_id] if marker_id else []))
        if marker_id and (marker := view.body(marker_id)) is not None:
            _require_same_content(marker, ctx)
            return None
        _require_match(view, [aggregate], ctx)
        return view

    async def change(
        self,
        ctx: Context,
        codec: DocumentCodec[Any],
        identity: str,
        decide: Decide[T],
        *,
        also: Sequence[str] = (),
        linked: Linked | None = None,
    ) -> Outcome[T]:
        """Commit what *decide* makes of the aggregate *identity*; *also* is read with it.

        Raises:
            As `commit`.
        """
        partition, reads = partition_of(ctx.tenant, identity), [codec.document_id(identity), *also]
        return await self.commit(ctx, partition, reads, decide, linked=linked, codec=codec)

    async def commit(
        self,
        ctx: Context,
        partition: Partition,
        reads: Sequence[str],
        decide: Decide[T],
        *,
        linked: Linked | None = None,
        codec: DocumentCodec[Any] | None = None,
    ) -> Outcome[T]:
        """Read *reads*, let *decide* choose, and commit that in one batch under the etags read.

        The first of *reads* is the aggregate: `If-Match` and `If-None-Match` are about its etag,
        as *codec* shows it.

        Raises:
            WriteContention: five attempts met other writers each time.
            IdempotencyKeyReused: the marker belongs to other content.
            Stale: the aggregate has not the etag that the cause expects, or one that it excludes.
            Unavailable: the store is away; nothing was written, or the marker will show it.
            Refused: raised by *decide*, and nothing was written; or the refusal that it decided on.
        """
        assert partition.tenant == ctx.tenant, (partition, ctx.tenant)
        marker_id = ctx.cause.marker
        ids = [*reads, marker_id] if marker_id else list(reads)
        assert len(ids) <= READ_MAX_DOCUMENTS, ids
        is_unsure = False
        async with AsyncExitStack() as turn:
            for attempt in range(ATTEMPTS_MAX):
                if attempt == 1:
                    # Those of this process who lost go on one by one: a crowd would lose again.
                    await turn.enter_async_context(self._turn(partition))
                if attempt > 1:
                    await ctx.clock.sleep(_BACKOFF_S * 2**attempt * ctx.entropy.fraction())
                documents = await self.store.read_many(partition, ids)
                if marker_id and (marker := documents.get(marker_id)) is not None:
                    _require_same_content(marker.body, ctx)
                    return Outcome(marker.body["result"], is_repeat=not is_unsure)
                view = View(documents)
                _require_match(view, reads, ctx, codec)
                view = await self._with_linked(partition, view, linked)
                decided = decide(view)
                decision = decided if isinstance(decided, Decision) else await decided
                is_empty = not (decision.writes or decision.outbox or decision.audited)
                if is_empty and not ctx.cause.is_keyed:
                    return Outcome(decision.value, decision.is_repeat)
                committed, operations = _prepare(partition, view, decision, self.retention, ctx)
                try:
                    await self.store.batch(partition, operations)
                except (BatchRefused, AnswerLost) as problem:
                    _log.debug("deciding again in %s: %s", partition, problem)
                    is_unsure |= isinstance(problem, AnswerLost)
                    continue
                await turn.aclose()
                return await self._after_commit(decision, view, committed, ctx)
        raise WriteContention(
            f"{ATTEMPTS_MAX} attempts met other writers of the same resource; send it again"
        )

    async def _with_linked(self, partition: Partition, view: View, linked: Linked | None) -> View:
        if linked is None:
            return view
        asked: set[str] = set()
        while ids := [each for each in linked(view) if each not in asked]:
            more = await self.read(partition, *ids)
            view = View({**view.documents, **more.documents})
            asked.update(ids)
        return view

    async def _after_commit(
        self, decision: Decision[T], before: View, committed: Committed, ctx: Context
    ) -> Outcome[T]:
        """Measure and send on what was committed; raise the refusal that *decision* may be."""
        if self.relay.telemetry.is_on:
            await isolate(self._measure(decision, before, ctx), "figures of a commit")
        await self.relay.relay_new(committed)
        if decision.refusal is not None:
            raise decision.refusal
        return Outcome(decision.value, decision.is_repeat)

    async def _measure(self, decision: Decision[Any], before: View, ctx: Context) -> None:
        self._figures.committed(decision.writes, decision.outbox, before.body, ctx.now())

    @cached_property
    def _figures(self) -> "CommitFigures":
        from shared.messaging.commit_figures import CommitFigures  # noqa: PLC0415  if configured

        return CommitFigures(self.relay.telemetry)

    def _turn(self, partition: Partition) -> asyncio.Lock:
        return self._turns.setdefault(partition, asyncio.Lock())


def _prepare(
    partition: Partition, view: View, decision: Decision[Any], retention: Retention, ctx: Context
) -> tuple[Committed, Sequence[BatchOperation]]:
    now, cause = ctx.now(), ctx.cause
    encoded = encode(
        stored_rows(decision.outbox, decision.audited, partition, ctx), now, ctx.entropy
    )
    operations = [_operation(write, view, retention) for write in decision.writes]
    operations += [Create(row.id, body) for row, body in encoded]
    if cause.marker and decision.refusal is None:
        marker = {
            "type": "marker",
            "result": decision.value,
            "at": isoformat(now),
            "fingerprint": cause.fingerprint,
        }
        ttl_s = int(cause.marker_ttl.total_seconds())
        operations.append(Create(cause.marker, marker, ttl_s))
    return Committed(partition, [row for row, _ in encoded]), operations


def _require_same_content(marker: Body, ctx: Context) -> None:
    if marker["fingerprint"] != ctx.cause.fingerprint:
        raise IdempotencyKeyReused(
            "this Idempotency-Key answered a request with other content: expected the same"
            " content or a new key",
            target="Idempotency-Key",
        )


def _require_match(
    view: View, reads: Sequence[str], ctx: Context, codec: DocumentCodec[Any] | None = None
) -> None:
    expected, excluded = ctx.cause.if_match, ctx.cause.if_none_match
    if expected is None and not excluded:
        return
    known = view.documents.get(reads[0]) if reads else None
    shown = None if known is None or codec is None else codec.etag(known)
    current = shown or (known.etag if known else None)
    matching = set() if current is None else {current, "*"}
    if expected is not None and matching.isdisjoint(expected):
        raise Stale(
            f"If-Match: expected the current etag, got {', '.join(expected)[:80]!r}; read it again",
            target="If-Match",
        )
    if not matching.isdisjoint(excluded):
        raise Stale(
            f"If-None-Match: expected none like {', '.join(excluded)[:80]!r}, but it is there with"
            f" the etag {current}",
            target="If-None-Match",
        )


def _operation(write: Put | Remove, view: View, retention: Retention) -> BatchOperation:
    known = view.documents.get(write.id)
    match write:
        case Put(document_id, body, kept):
            ttl_s = None if kept is None else int(retention.span(kept).total_seconds())
            assert body.get("type") != OUTBOX_TYPE, "outbox rows go into Decision.outbox"
            if known is None:
                return Create(document_id, body, ttl_s)
            return Replace(document_id, body, known.etag, ttl_s)
        case Remove(document_id):
            return Delete(document_id, known.etag if known else None)
