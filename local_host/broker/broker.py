"""The broker: sends, locks and settles over the ledger, and wakes who waits.

Owns delivery; what a function is given of it is the trigger's part. One event loop uses it. What is
acknowledged is durable (the database's group commit); what was locked when a host died is ready at
once for the next, with the delivery counted.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from local_host.broker import entities, ledger
from local_host.broker.ledger import Copy, Ending, Row, Settlement
from local_host.broker.locks import Lock, LockLost, Locks
from local_host.broker.message import EncodedMessage, ReceivedMessage, encode
from local_host.broker.topology import Queue, Subscription, Topology, entity_path
from local_host.signals import Alarm, Arrivals
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid
from shared.messaging.broker import OutgoingMessage
from shared.persistence.sqlite import Database

_log = logging.getLogger(__name__)
NOT_LOCKED: Final = ""


class Broker:
    """A namespace in *database*. `start` before the first use; implements `MessageSender`."""

    def __init__(
        self, database: Database, topology: Topology, *, clock: Clock, entropy: Entropy
    ) -> None:
        self._database = database
        self._topology = topology
        self._clock = clock
        self._entropy = entropy
        self._entities = entities.Entities()
        self._locks = Locks()
        self._arrivals: dict[int, Arrivals] = {}
        self._alarm = Alarm(clock, self._expire)
        self._to_settle: list[tuple[Lock, Settlement, asyncio.Future[bool]]] = []
        self._settler: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Create what is declared; make ready what an earlier host had locked."""

        def open_namespace(connection: sqlite3.Connection) -> entities.Entities:
            ledger.create_tables(connection)
            entities.save(connection, list(entities.definitions(self._topology)))
            loaded = entities.load(connection)
            left_locked = [
                Settlement(
                    queue, message, token, Ending.ABANDON, count, loaded.max_delivery_count(queue)
                )
                for queue, message, token, count in ledger.locked_deliveries(connection)
            ]
            ledger.settle(connection, left_locked)
            return loaded

        self._entities = await self._database.write(open_namespace)
        self._set_alarm()
        self._alarm.start()

    async def stop(self) -> None:
        """Stop expiring. Listeners have stopped before; nothing else is needed for durability."""
        await self._alarm.stop()
        if self._settler is not None:
            await self._settler

    # Sending

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Put *messages* on a queue or topic; durable when this returns, all or none.

        Raises:
            NotFound: no such queue or topic.
            TooLarge: a message is over 256 KB.
        """
        targets = self._entities.targets(entity)
        now = self._now()
        later: list[tuple[EncodedMessage, float]] = []
        at_once: list[tuple[EncodedMessage, list[Copy]]] = []
        for message in messages:
            encoded = encode(message)
            if message.scheduled_at is not None and message.scheduled_at.timestamp() > now:
                later.append((encoded, message.scheduled_at.timestamp()))
            else:
                at_once.append((encoded, _copies(targets, message)))

        def store(connection: sqlite3.Connection) -> None:
            for encoded, copies in at_once:
                ledger.enqueue(connection, encoded, copies, now)
            for encoded, due_at in later:
                ledger.schedule(
                    connection, self._entities.senders[entity_path(entity)], encoded, due_at
                )

        await self._database.write(store)
        if later or any(copy.time_to_live_s is not None for _, made in at_once for copy in made):
            self._set_alarm()
        self._wake({copy.queue for _, copies in at_once for copy in copies})

    async def create_queue(self, queue: Queue) -> bool:
        """Create *queue* unless it is there; return whether it was created."""
        return await self._create([entities.define_queue(queue)])

    async def create_subscription(self, topic: str, subscription: Subscription) -> bool:
        """Create *subscription*, and *topic*, unless they are there; return whether it was created.

        Raises:
            Invalid: *topic* is a queue.
        """
        if entity_path(topic) in self._entities.queues:
            raise Invalid(f"{topic} is a queue, expected a topic: choose another name")
        return await self._create(
            [entities.define_topic(topic), entities.define_subscription(topic, subscription)]
        )

    async def _create(self, wanted: list[entities.Definition]) -> bool:
        known = {*self._entities.queues, *self._entities.senders}
        missing = [definition for definition in wanted if definition[0] not in known]
        if not missing:
            return False

        def create(connection: sqlite3.Connection) -> entities.Entities:
            entities.save(connection, missing)
            return entities.load(connection)

        self._entities = await self._database.write(create)
        return True

    # Receiving

    def arrivals(self, path: str) -> Arrivals:
        """Return what counts up whenever *path* may have something new to lock."""
        return self._arrivals.setdefault(self._entities.number(path), Arrivals())

    async def lock(self, path: str, limit: int) -> Sequence[ReceivedMessage]:
        """Lock and return up to *limit* messages that are ready; empty when there are none.

        *path* is a queue, `<topic>/Subscriptions/<name>`, or either with `/$DeadLetterQueue`. Each
        lock lasts as long as the entity says, unless it is renewed.

        Raises:
            NotFound: no such queue or subscription.
        """
        queue = self._entities.number(path)
        lock_s = self._entities.settings(queue).lock_s
        now = self._now()
        rows = await self._database.write(
            partial(ledger.lock, queue=queue, limit=limit, now=now, token=self._token)
        )
        now_s = self._clock.monotonic_s()
        messages = [_received(row, token, now + lock_s) for row, token in rows]
        for message in messages:
            self._locks.hold(Lock(message, lock_s, now_s + lock_s, now_s))
        if messages:
            self._alarm.set(now_s + lock_s)
        return messages

    def renew(self, message: ReceivedMessage) -> None:
        """Hold the lock for its whole duration from now. Raises LockLost."""
        self._locks.renew(message, self._clock.monotonic_s())

    def keep_renewed(self, message: ReceivedMessage, for_s: float) -> None:
        """Renew the lock whenever it runs out during the next *for_s*; a lost one stays lost."""
        self._locks.keep_renewed(message, self._clock.monotonic_s() + for_s)

    async def complete(self, message: ReceivedMessage) -> None:
        """Delete *message* from its queue. Raises LockLost."""
        await self._settle(message, Ending.COMPLETE)

    async def abandon(self, message: ReceivedMessage) -> None:
        """Make *message* ready at once; after its last delivery it is dead-lettered.

        Raises:
            LockLost: the lock is not held.
        """
        await self._settle(message, Ending.ABANDON)

    async def release(self, message: ReceivedMessage) -> None:
        """Give *message* back unseen; the delivery does not count. Raises LockLost."""
        await self._settle(message, Ending.RELEASE)

    async def dead_letter(
        self, message: ReceivedMessage, reason: str, description: str = ""
    ) -> None:
        """Move *message* to the dead-letter sub-queue. Raises LockLost."""
        await self._settle(message, Ending.DEAD_LETTER, reason, description)

    async def _settle(
        self, message: ReceivedMessage, ending: Ending, reason: str = "", description: str = ""
    ) -> None:
        lock = self._locks.take(message, self._clock.monotonic_s())
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        settlement = self._settlement(lock, ending, reason, description)
        self._to_settle.append((lock, settlement, answer))
        if self._settler is None or self._settler.done():
            self._settler = asyncio.create_task(self._settle_waiting(), name="broker settler")
        if not await answer:
            raise LockLost(message)

    def _settlement(
        self, lock: Lock, ending: Ending, reason: str = "", description: str = ""
    ) -> Settlement:
        message = lock.message
        return Settlement(
            message.queue,
            message.sequence_number,
            message.lock_token,
            ending,
            message.delivery_count,
            self._entities.max_delivery_count(message.queue),
            reason,
            description,
        )

    async def _settle_waiting(self) -> None:
        """Write what waits in one piece; what comes meanwhile is the next piece."""
        while self._to_settle:
            group, self._to_settle = self._to_settle, []
            settlements = [settlement for _, settlement, _ in group]
            try:
                held = await self._database.write(partial(ledger.settle, settlements=settlements))
            except Exception as problem:  # noqa: BLE001  it belongs to those who wait
                self._locks.restore(lock for lock, _, _ in group)
                self._alarm.set(self._locks.next_end_s())
                for _, _, answer in group:
                    if not answer.done():
                        answer.set_exception(problem)
                continue
            self._after_settling([lock for lock, _, _ in group], settlements)
            for (_, _, answer), is_held in zip(group, held, strict=True):
                if not answer.done():
                    answer.set_result(is_held)

    def _after_settling(self, locks: Sequence[Lock], settlements: Sequence[Settlement]) -> None:
        """Wake receivers of what became ready, there or in the dead-letter sub-queue."""
        changed = [each for each in settlements if each.ending is not Ending.COMPLETE]
        if not changed:
            return
        self._wake({number for each in changed for number in (each.queue, -abs(each.queue))})
        if any(lock.message.expires_at is not None for lock in locks):
            self._set_alarm()

    # Time

    async def _expire(self) -> None:
        """Give up locks that ran out, enqueue what is due, expire what is too old."""
        now = self._now()
        expired = self._locks.take_expired(self._clock.monotonic_s())
        settlements = [self._settlement(lock, Ending.ABANDON) for lock in expired]

        def expire(connection: sqlite3.Connection) -> set[int]:
            ledger.settle(connection, settlements)
            ready = self._enqueue_due(connection, now)
            ledger.expire(connection, now, self._dead_letters_expired)
            return ready

        try:
            ready = await self._database.write(expire)
        except BaseException:
            self._locks.restore(expired)
            raise
        for lock in expired:
            _log.warning("%s; it is delivered again", LockLost(lock.message))
        self._after_settling(expired, settlements)
        self._wake(ready | {-number for number in self._entities.by_id})
        self._set_alarm()

    def _enqueue_due(self, connection: sqlite3.Connection, now: float) -> set[int]:
        ready: set[int] = set()
        for entity, encoded in ledger.take_due(connection, now):
            message = _outgoing(encoded)
            copies = _copies(self._entities.targets(self._entities.sender_path(entity)), message)
            ledger.enqueue(connection, encoded, copies, now)
            ready.update(copy.queue for copy in copies)
        return ready

    def _dead_letters_expired(self, queue: int) -> bool:
        return self._entities.settings(queue).dead_letters_expired

    def _set_alarm(self) -> None:
        now_s = self._clock.monotonic_s()
        due_at = self._database.read(ledger.next_due_at)
        if due_at is not None:
            self._alarm.set(now_s + max(0.0, due_at - self._now()))
        self._alarm.set(self._locks.next_end_s())

    def _wake(self, queues: set[int]) -> None:
        for queue in queues:
            if queue in self._arrivals:
                self._arrivals[queue].notify()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _token(self) -> str:
        return str(self._entropy.uuid())

    # For operators

    def peek(self, path: str, *, after: int = 0, limit: int = 100) -> Sequence[ReceivedMessage]:
        """Return what *path* holds, locked or not, in order, without locking it.

        *after* is the last sequence number already seen. Raises NotFound.
        """
        queue = self._entities.number(path)
        rows = self._database.read(lambda connection: ledger.peek(connection, queue, after, limit))
        return [_received(row, NOT_LOCKED, 0.0, begun=0) for row in rows]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for every queue and subscription how many messages and dead letters it holds."""
        held = self._database.read(ledger.count)
        return {
            each.path: (held.get(each.id, 0), held.get(-each.id, 0))
            for each in self._entities.queues.values()
        }

    async def resubmit(self, path: str, sequence_number: int) -> bool:
        """Make a dead letter of *path* ready again, there only, its delivery count at zero.

        Other subscriptions of the topic do not see it. Returns False when there is none.
        """
        queue = abs(self._entities.number(path))
        moved = await self._database.write(
            partial(ledger.revive, queue=queue, message=sequence_number)
        )
        self._wake({queue})
        return moved

    async def discard(self, path: str, sequence_number: int) -> bool:
        """Delete a dead letter of *path* for good; False when there is none."""
        queue = abs(self._entities.number(path))
        return await self._database.write(
            partial(ledger.discard, queue=queue, message=sequence_number)
        )


def _copies(targets: Sequence[entities.HeldQueue], message: OutgoingMessage) -> list[Copy]:
    """Return one copy for each target that takes *message*; the shorter time to live wins."""
    return [
        Copy(target.id, _shorter(message.time_to_live_s, target.settings.time_to_live_s))
        for target in targets
        if target.takes(message)
    ]


def _shorter(one: float | None, other: float | None) -> float | None:
    given = [each for each in (one, other) if each is not None]
    return min(given) if given else None


def _outgoing(encoded: EncodedMessage) -> OutgoingMessage:
    message_id, subject, content_type, correlation_id, properties = json.loads(encoded.properties)
    return OutgoingMessage(
        encoded.body,
        message_id,
        subject,
        content_type,
        correlation_id,
        properties,
        encoded.time_to_live_s,
    )


def _received(row: Row, token: str, locked_until: float, *, begun: int = 1) -> ReceivedMessage:
    queue, sequence, count, body, properties, enqueued_at, expires_at, reason, description = row
    message_id, subject, content_type, correlation_id, application = json.loads(properties)
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
        description or "",
    )
