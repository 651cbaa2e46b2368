"""The one relay of outbox rows, called from three places.

The invocation that committed the rows relays them at once, audit records excepted. The change feed
relays those records, and rows older than 2 s; a sweeper relays those older than 15 s. Any one of
them may be switched off, and two may relay the same row: receivers ignore the second one.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.contracts.entities import RUNTIME_EVENTS, command_queue
from shared.contracts.values import Service as ServiceName
from shared.kernel.clock import Clock, parse_instant
from shared.kernel.concurrency import Failure, isolate
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.messaging.audit import AuditTrail
from shared.messaging.broker import MessageSender, OutgoingMessage
from shared.messaging.envelope import PARENT_PROPERTY, SENDER_PROPERTY, attributes_of
from shared.messaging.orchestrations import Orchestrations
from shared.messaging.outbox import (
    OUTBOX_TYPE,
    RECORD,
    Committed,
    Message,
    OutboxRow,
    Raise,
    Record,
    Start,
    StoredRow,
    decode,
)
from shared.messaging.sweep import Sweep, SweepLog
from shared.persistence.store import BatchRefused, Delete, Document, Partition, Store
from shared.telemetry.names import (
    DESTINATION,
    KIND,
    OPERATION,
    ORCHESTRATION,
    OUTBOX_AGE,
    PUBLICATION,
    START,
    TENANT,
)
from shared.telemetry.trace_context import read_traceparent, span_id_of, w3c_trace_id
from shared.telemetry.work import NOTHING, OFF, Span, Telemetry, current

SWEEP_OUTBOX: Final = "sweep_outbox"
_FEED_AGE: Final = timedelta(seconds=2)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Relay:
    """Sends rows on and deletes them from *store*, the container of a service.

    `service` is the public name of that service: the sender that its messages name.
    """

    service: str
    store: Store
    sender: MessageSender
    orchestrations: Orchestrations
    audit: AuditTrail
    clock: Clock
    sweeps: SweepLog = field(default_factory=SweepLog)
    telemetry: Telemetry = OFF

    async def relay_new(self, committed: Committed) -> None:
        """Send on the rows that were just committed; audit records wait for the change feed.

        A caller does not wait for the audit trail. Nothing is raised: the decision is committed.
        """
        rows = [row for row in committed.rows if not isinstance(row.row, Record)]
        await isolate(
            self.relay(Committed(committed.partition, rows)), "new outbox rows stay for the sweeper"
        )

    async def relay(self, committed: Committed) -> int:
        """Send every row on, delete those that left; return how many are still there.

        A row that cannot leave, or be deleted, now stays for the sweeper; nothing is raised.
        """
        left = await self._send(committed.rows)
        sent = [row for row in committed.rows if row.id not in left]
        undeleted = await self._delete(committed.partition, sent) if sent else 0
        return len(left) + undeleted

    async def relay_changes(self, documents: Sequence[Document]) -> None:
        """Relay the outbox rows among *documents* that are still there.

        Audit records at once; the others when they are 2 s old: until then their invocation does.
        """
        for document in documents:
            if document.body.get("type") == OUTBOX_TYPE:
                await isolate(self._relay_change(document), f"outbox row {document.id}")

    async def _relay_change(self, document: Document) -> None:
        if document.body.get("kind") != RECORD:
            await self._wait_for_its_invocation(document)
        present = await self.store.read(document.partition, document.id)
        if present is not None:
            await self.relay_stored(present)

    async def _wait_for_its_invocation(self, document: Document) -> None:
        ripe_at = parse_instant(document.body["createdAt"]) + _FEED_AGE
        if (wait_s := (ripe_at - self.clock.now()).total_seconds()) > 0:
            # Bounded: the clock of the machine that wrote the row may be ahead.
            await self.clock.sleep(min(wait_s, _FEED_AGE.total_seconds()))

    async def sweep(self) -> int:
        """Relay the rows that are due across tenants; return how many were due."""
        sweep = Sweep(SWEEP_OUTBOX, OUTBOX_TYPE, self.store, self.clock, self.sweeps)
        return await sweep.run(self.relay_stored)

    async def relay_stored(self, document: Document) -> None:
        """Relay the row in *document*.

        Raises:
            MalformedRow: it cannot be read.
            Unavailable: its destination did not take it, or it could not be deleted.
        """
        row = decode(document)
        committed_at = parse_instant(document.body["createdAt"])
        age_s = (self.clock.now() - committed_at).total_seconds()
        self.telemetry.add(OUTBOX_AGE, age_s, {KIND: document.body["kind"]})
        if await self.relay(Committed(document.partition, [row])):
            destination = _destination(row.row)
            raise Unavailable(f"{row.id} stays: {destination} or the store is away")

    async def _send(self, rows: Sequence[OutboxRow]) -> set[str]:
        groups: dict[str, list[OutboxRow]] = {}
        for row in rows:
            groups.setdefault(_destination(row.row), []).append(row)
        left = await asyncio.gather(*(self._send_group(to, group) for to, group in groups.items()))
        return {row_id for group in left for row_id in group}

    async def _send_group(self, destination: str, group: Sequence[OutboxRow]) -> Sequence[str]:
        """Send rows of one destination in their order; return the ids of those that stayed."""
        subject = f"outbox rows to {destination} stay for the sweeper"
        if isinstance(group[0].row, Message):
            result = await isolate(self._publish(destination, group), subject)
            return [row.id for row in group] if isinstance(result, Failure) else []
        for sent, row in enumerate(group):
            if isinstance(await isolate(self._hand_over(row), subject), Failure):
                return [row.id for row in group[sent:]]
        return []

    async def _publish(self, destination: str, group: Sequence[OutboxRow]) -> None:
        with ExitStack() as spans:
            messages = []
            for row in group:
                assert isinstance(row.row, Message), "rows of one destination are of one kind"
                span = spans.enter_context(self._publication(row.row, row.traceparent, destination))
                messages.append(self._message(row.row, span.traceparent))
            await self.sender.send(destination, messages)

    def _publication(self, row: Message, parent: str, destination: str) -> Span:
        if not self.telemetry.is_on:
            return NOTHING
        envelope = row.envelope
        return self.telemetry.span(
            PUBLICATION,
            f"publish {envelope.event_type}",
            envelope.trace_id,
            {**attributes_of(envelope), DESTINATION: destination},
            parent=parent,
        )

    def _start(self, row: Start, parent: str) -> Span:
        known = read_traceparent(parent)
        if not self.telemetry.is_on or known is None:
            return NOTHING
        trace_id = current().trace_id
        if w3c_trace_id(trace_id) != known.trace:  # relayed by another than who committed it
            trace_id = known.trace_id
        return self.telemetry.span(
            START,
            f"start {row.orchestration}",
            trace_id,
            {
                TENANT: str(row.input.get("tenantId", "")),
                ORCHESTRATION: row.orchestration,
                OPERATION: row.instance_id,
            },
            parent=parent,
            span_id=span_id_of(row.instance_id),
        )

    async def _hand_over(self, outbox_row: OutboxRow) -> None:
        match outbox_row.row:
            case Start(orchestration, instance_id, argument) as row:
                with self._start(row, outbox_row.traceparent):
                    await self.orchestrations.start(orchestration, instance_id, argument)
            case Raise(instance_id, name):
                await self.orchestrations.raise_event(instance_id, name)
            case Record() as record:
                await self.audit.append(record)
            case Message():
                msg = "messages are sent in groups"
                raise AssertionError(msg)

    def _message(self, row: Message, parent: str) -> OutgoingMessage:
        envelope = row.envelope
        properties = {**envelope.properties(), SENDER_PROPERTY: self.service}
        if parent:
            properties[PARENT_PROPERTY] = parent
        return OutgoingMessage(
            body=envelope.to_json(),
            message_id=envelope.event_id,
            subject=envelope.event_type,
            correlation_id=envelope.correlation_id,
            application_properties=properties,
        )

    async def _delete(self, partition: Partition, rows: Sequence[OutboxRow]) -> int:
        """Delete *rows*; return how many are still there."""
        try:
            await self.store.batch(partition, [Delete(row.id) for row in rows])
        except BatchRefused:
            # Another relay took one of them: delete what is left, one by one.
            if len(rows) == 1:
                return 0
            return sum([await self._delete(partition, [row]) for row in rows])
        except Unavailable as problem:
            ids = ", ".join(row.id for row in rows)
            _log.warning("relayed outbox rows stay until the sweep: %s: %s", ids, problem)
            return len(rows)
        return 0


def _destination(row: StoredRow) -> str:
    match row:
        case Message(_, service):
            return RUNTIME_EVENTS if service is None else command_queue(ServiceName(service))
        case Record():
            return "audit"
        case Start(_, instance_id, _) | Raise(instance_id, _):
            # One instance's rows stay in order: a start before the event raised after it.
            return f"instance {instance_id}"
