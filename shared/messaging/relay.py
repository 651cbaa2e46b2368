"""The one relay of outbox rows, called from three places.

The invocation that committed the rows relays them at once; the change feed relays what is older
than 2 s; a sweeper relays what is older than 15 s. Any one of them may be switched off, two may
meet: every receiver takes a row twice without a second effect.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.contracts.commands import command_queue
from shared.contracts.events import RUNTIME_EVENTS
from shared.contracts.values import Service as ServiceName
from shared.durable.port import Orchestrations
from shared.kernel.clock import Clock, isoformat, parse_instant
from shared.kernel.errors import Refused, Unavailable
from shared.messaging.audit import AuditTrail
from shared.messaging.broker import MessageSender, OutgoingMessage
from shared.messaging.envelope import Envelope
from shared.messaging.outbox import (
    OUTBOX_TYPE,
    MalformedRow,
    OutboxRow,
    Outgoing,
    Publish,
    Raise,
    Record,
    Row,
    Send,
    Start,
    decode,
)
from shared.persistence.store import (
    BatchRefused,
    Comparison,
    Delete,
    Document,
    Partition,
    Query,
    Replace,
    Store,
    Where,
)

_FEED_AGE: Final = timedelta(seconds=2)
_BACKOFF_MAX_S: Final = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Relay:
    """Sends rows on and deletes them from *store*, which is one service's container."""

    store: Store
    sender: MessageSender
    orchestrations: Orchestrations
    audit: AuditTrail
    clock: Clock

    async def relay(self, outgoing: Outgoing) -> int:
        """Send every row on, delete those that left; return how many are still there.

        A row that cannot leave now stays for the sweeper; nothing is raised, because what the
        rows belong to is committed already.
        """
        left = await self._send(outgoing.rows)
        gone = [row for row in outgoing.rows if row.id not in left]
        if gone:
            await self._delete(outgoing.partition, gone)
        return len(left)

    async def relay_changes(self, documents: Sequence[Document]) -> None:
        """Relay the outbox rows among *documents* once they are 2 s old and still there."""
        for document in documents:
            if document.body.get("type") != OUTBOX_TYPE:
                continue
            ripe_at = parse_instant(document.body["createdAt"]) + _FEED_AGE
            if (wait_s := (ripe_at - self.clock.now()).total_seconds()) > 0:
                # A row from a machine whose clock is ahead is not waited for any longer.
                await self.clock.sleep(min(wait_s, _FEED_AGE.total_seconds()))
            present = await self.store.read(document.partition, document.id)
            if present is not None:
                await self._relay_stored(present)

    async def sweep(self, now: datetime) -> int:
        """Relay up to 100 rows that are due across tenants; return how many were found."""
        due = await self.store.query_due(
            Query(
                where=[
                    Where("type", Comparison.EQ, OUTBOX_TYPE),
                    Where("dueAt", Comparison.LE, isoformat(now)),
                ],
                order_by="dueAt",
            )
        )
        for document in due.documents:
            if not await self._relay_stored(document):
                await self._postpone(document, now)
        return len(due.documents)

    async def _relay_stored(self, document: Document) -> bool:
        """Relay the row in *document*; return whether it left. An unreadable one holds up none."""
        try:
            row = decode(document)
        except MalformedRow as problem:
            _log.error("an outbox row cannot be read and stays: %s", problem.message)
            return False
        return not await self.relay(Outgoing(document.partition, [row]))

    async def _send(self, rows: Sequence[OutboxRow]) -> set[str]:
        groups: dict[str, list[OutboxRow]] = {}
        for row in rows:
            groups.setdefault(_destination(row.row), []).append(row)
        left = await asyncio.gather(*(self._send_group(to, group) for to, group in groups.items()))
        return {row_id for group in left for row_id in group}

    async def _send_group(self, destination: str, group: Sequence[OutboxRow]) -> Sequence[str]:
        """Send rows of one destination in their order; return the ids of those that stayed."""
        messages = [_message(row.row) for row in group if isinstance(row.row, Publish | Send)]
        sent = 0
        try:
            if messages:
                await self.sender.send(destination, messages)
                return []
            for row in group:
                await self._hand_over(row.row)
                sent += 1
        except (Unavailable, Refused) as problem:
            _log.warning(
                "outbox rows to %s stay for the sweeper: %s", destination, problem, exc_info=False
            )
            return [row.id for row in group[sent:]]
        return []

    async def _hand_over(self, row: Row) -> None:
        match row:
            case Start(orchestration, instance_id, argument):
                await self.orchestrations.start(orchestration, instance_id, argument)
            case Raise(instance_id, name):
                await self.orchestrations.wake(instance_id, name)
            case Record():
                await self.audit.append(row)
            case Publish() | Send():
                msg = "messages are sent in groups"
                raise AssertionError(msg)

    async def _delete(self, partition: Partition, rows: Sequence[OutboxRow]) -> None:
        try:
            await self.store.batch(partition, [Delete(row.id) for row in rows])
        except BatchRefused:
            # Another relay took one of them: delete what is left, one by one.
            for row in rows:
                await self._delete_one(partition, row.id)
        except Unavailable as problem:
            _log.warning("relayed outbox rows stay until the sweep: %s", problem)

    async def _delete_one(self, partition: Partition, row_id: str) -> None:
        try:
            await self.store.batch(partition, [Delete(row_id)])
        except (BatchRefused, Unavailable) as problem:
            _log.debug("outbox row %s is gone or stays: %s", row_id, problem)

    async def _postpone(self, document: Document, now: datetime) -> None:
        attempts = int(document.body["attempts"]) + 1
        delay = timedelta(seconds=min(_BACKOFF_MAX_S, 15.0 * 2**attempts))
        body: dict[str, Any] = {
            **document.body,
            "attempts": attempts,
            "dueAt": isoformat(now + delay),
        }
        try:
            await self.store.batch(document.partition, [Replace(document.id, body, document.etag)])
        except (BatchRefused, Unavailable) as problem:
            _log.debug("outbox row %s was not postponed: %s", document.id, problem)


def _destination(row: Row) -> str:
    match row:
        case Publish():
            return RUNTIME_EVENTS
        case Send(service, _):
            return command_queue(ServiceName(service))
        case Record():
            return "audit"
        case Start(_, instance_id, _) | Raise(instance_id, _):
            # One instance's rows stay in order: a start before the raise that follows it.
            return f"instance {instance_id}"


def _message(row: Publish | Send) -> OutgoingMessage:
    envelope: Envelope = row.envelope
    return OutgoingMessage(
        body=envelope.to_json(),
        message_id=envelope.event_id,
        subject=envelope.event_type,
        correlation_id=envelope.correlation_id,
        application_properties=envelope.properties(),
    )
