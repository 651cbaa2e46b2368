"""The state of one namespace: its database, entities, locks and receivers."""

import itertools
import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from local_cloud.broker import message_store
from local_cloud.broker.entities import Entities, StoredQueue
from local_cloud.broker.locks import Lock, Locks
from local_cloud.broker.message import (
    AmqpMessage,
    Disposition,
    ReceivedMessage,
    SessionRequired,
    amqp_of,
)
from local_cloud.broker.message_store import Copy, DeliveryRow, Settlement
from local_cloud.broker.receivers import Receivers
from local_cloud.notifications import EarliestTimer
from local_cloud.sqlite.database import Database
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.messaging.broker import OutgoingMessage
from shared.messaging.entity_path import split_path


@dataclass
class Namespace:
    """`timer` fires when a lock runs out, a message is due, or one expires."""

    database: Database
    clock: Clock
    entropy: Entropy
    timer: EarliestTimer
    entities: Entities = field(default_factory=Entities)
    locks: Locks = field(default_factory=Locks)
    receivers: Receivers = field(default_factory=Receivers)

    def __post_init__(self) -> None:
        self._token_base = self.entropy.bits(64) << 64
        self._token_count = itertools.count(1)

    def now(self) -> float:
        """Return epoch seconds."""
        return self.clock.now().timestamp()

    def token(self) -> str:
        """Return a new lock token: a GUID, as Service Bus has it, of a random half and a count.

        One draw of randomness a delivery would cost more than the delivery's own statements.
        """
        text = f"{self._token_base + next(self._token_count):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def hold(self, messages: Sequence[ReceivedMessage]) -> None:
        """Hold the locks of *messages*, all of one queue, from now on."""
        if not messages:
            return
        lock_s = self.entities.settings(messages[0].queue).lock_s
        now_s = self.clock.monotonic_s()
        for message in messages:
            # The lock of a session's message ends with that of the session.
            until_s = math.inf if message.session_id else now_s + lock_s
            self.locks.hold(Lock(message, lock_s, until_s, now_s))
        self.timer.set(now_s + lock_s)

    def set_timer(self) -> None:
        """Fire at the next instant at which anything runs out or is due."""
        due_at = self.database.read(message_store.next_due_at)
        if due_at is not None:
            self.timer.set(self.clock.monotonic_s() + max(0.0, due_at - self.now()))
        self.timer.set(self.locks.next_end_s())

    def settlement(
        self,
        lock: Lock,
        disposition: Disposition,
        reason: str = "",
        description: str = "",
        changes: bytes = b"",
    ) -> Settlement:
        message = lock.message
        return Settlement(
            message.queue,
            message.sequence_number,
            message.lock_token,
            disposition,
            message.delivery_count,
            self.entities.max_delivery_count(message.queue),
            reason,
            description,
            changes,
        )

    def after_settling(self, locks: Sequence[Lock], settlements: Sequence[Settlement]) -> None:
        """Wake the receivers of what became ready, there or in the dead-letter sub-queue."""
        changed = {
            each.queue for each in settlements if each.disposition is not Disposition.COMPLETE
        }
        if not changed:
            return
        self.receivers.notify(changed | {-abs(queue) for queue in changed})
        if any(lock.message.expires_at is not None for lock in locks):
            self.set_timer()

    def copies_of(self, entity: str, message: OutgoingMessage) -> list[Copy]:
        """Return one copy for each queue that accepts *message*; the shorter time to live wins.

        Raises:
            NotFound: there is no queue or topic *entity*.
        """
        session = message.session_id if isinstance(message, AmqpMessage) else ""
        copies = []
        for target in self.entities.targets(entity):
            if target.accepts(message):
                lives_s = _shorter(message.time_to_live_s, target.settings.time_to_live_s)
                copy = Copy(target.id, lives_s)
                copies.append(_of_session(copy, target, session))
        return copies

    def lock_ready(
        self,
        connection: sqlite3.Connection,
        queue: int,
        limit: int,
        now: float,
        session: str | None = None,
    ) -> list[ReceivedMessage]:
        """Lock up to *limit* of what is ready; `hold` them once that is durable."""
        locked_until = now + self.entities.settings(queue).lock_s
        rows = message_store.lock(connection, queue, limit, now, self.token, session)
        return [received(row, token, locked_until) for row, token in rows]

    def lock_deferred(
        self, connection: sqlite3.Connection, queue: int, numbers: Sequence[int], now: float
    ) -> list[ReceivedMessage]:
        """Lock those of *numbers* that were set aside; `hold` them once that is durable."""
        locked_until = now + self.entities.settings(queue).lock_s
        rows = message_store.lock_deferred(connection, queue, numbers, self.token)
        return [received(row, token, locked_until) for row, token in rows]


def _of_session(copy: Copy, target: StoredQueue, session: str) -> Copy:
    """Return *copy* as *target* takes it: where sessions are required, with one.

    Raises:
        SessionRequired: a queue requires one. A subscription dead-letters what has none.
    """
    if not target.settings.requires_session:
        return copy
    if session:
        return replace(copy, session=session)
    if split_path(target.path)[1] is not None:
        return Copy(-target.id, None, dead_letter_reason="Session id is null.")
    raise SessionRequired(
        "The SessionId was not set on a message, and it cannot be sent to the entity."
        f" {target.path} requires sessions."
    )


def _shorter(left: float | None, right: float | None) -> float | None:
    bounds = [bound for bound in (left, right) if bound is not None]
    return min(bounds) if bounds else None


def received(
    row: DeliveryRow, token: str, locked_until: float, *, begun: int = 1
) -> ReceivedMessage:
    """Return the message of a stored row; *begun* counts the delivery that locked it."""
    queue, sequence, count, body, properties, enqueued_at, expires_at, reason, text, lock = row[:10]
    message_id, subject, content_type, correlation_id, application, *content = json.loads(
        properties
    )
    return ReceivedMessage(
        queue,
        sequence,
        message_id,
        body,
        subject,
        content_type,
        correlation_id,
        application,
        count + begun,
        enqueued_at,
        expires_at,
        locked_until,
        token,
        reason or "",
        text or "",
        amqp_of(content),
        lock is not None and lock.startswith(message_store.DEFERRED),
        lock == message_store.SCHEDULED,
        (row[10] or "") if queue > 0 else "",
        row[11] or b"",
    )
