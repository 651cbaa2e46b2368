"""The broker: sends, locks and settles messages, and wakes receivers.

It owns delivery; the Service Bus trigger owns what a function sees of it. It runs on one event
loop. What it acknowledges is durable (the database's group commit). Messages that were locked when
a host died are ready at once for the next host, and that delivery counts.
"""

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from local_cloud.broker import duplicates, entities, message_store, send, session_store
from local_cloud.broker.message import Disposition, LockLost, ReceivedMessage
from local_cloud.broker.message_store import Settlement
from local_cloud.broker.namespace import Namespace, received
from local_cloud.broker.receiver_link import ReceiverLink
from local_cloud.broker.rules import RULES_MAX, Rule
from local_cloud.broker.sessions import Sessions
from local_cloud.broker.settlement import SettlementWriter
from local_cloud.broker.topology import Queue, Subscription, Topology, entity_path
from local_cloud.notifications import Arrivals, EarliestTimer
from local_cloud.sqlite.database import Database
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from shared.messaging.broker import OutgoingMessage

_log = logging.getLogger(__name__)
_NOT_LOCKED: Final = ""


class Broker:
    """A namespace in *database*. `start` before the first use; implements `MessageSender`."""

    def __init__(
        self, database: Database, topology: Topology, *, clock: Clock, entropy: Entropy
    ) -> None:
        self._topology = topology
        self._namespace = Namespace(database, clock, entropy, EarliestTimer(clock, self._expire))
        self._settlement_writer = SettlementWriter(self._namespace)
        self.sessions = Sessions(self._namespace, self._settlement_writer)

    async def start(self) -> None:
        """Create the declared entities; abandon what an earlier host had locked."""

        def open_namespace(connection: sqlite3.Connection) -> entities.Entities:
            message_store.create_tables(connection)
            session_store.create_tables(connection)
            duplicates.create_tables(connection)
            entities.save(connection, list(entities.definitions(self._topology)))
            loaded = entities.load(connection)
            left_locked = [
                Settlement(
                    queue,
                    message,
                    token,
                    Disposition.ABANDON,
                    count,
                    loaded.max_delivery_count(queue),
                )
                for queue, message, token, count in message_store.locked_deliveries(connection)
            ]
            message_store.settle(connection, left_locked)
            return loaded

        self._namespace.entities = await self._namespace.database.write(open_namespace)
        self._namespace.set_timer()
        self._namespace.timer.start()

    async def stop(self) -> None:
        """Stop expiring. Listeners have stopped before; nothing else is needed for durability."""
        await self._namespace.timer.stop()
        await self._settlement_writer.stop()

    # Sending

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Put *messages* on a queue or topic; durable when this returns, all or none.

        Raises:
            NotFound: no such queue or topic.
            TooLarge: a message is over 256 KB.
        """
        await send.send(self._namespace, entity, messages)

    async def schedule(self, entity: str, messages: Sequence[OutgoingMessage]) -> Sequence[int]:
        """Send *messages*, each when it is due; return a number for each, to cancel it by.

        Raises:
            NotFound: no such queue or topic.
            TooLarge: a message is over 256 KB.
        """
        return await send.send(self._namespace, entity, messages)

    async def cancel_scheduled(self, entity: str, numbers: Sequence[int]) -> int:
        """Drop those of *numbers* that are not due yet; return how many there were.

        Raises:
            NotFound: no such queue or topic.
        """
        sender = self._namespace.entities.sender(entity)
        return await self._namespace.database.write(
            partial(message_store.cancel_scheduled, entity=sender, numbers=numbers)
        )

    def kind_of(self, name: str) -> str | None:
        """Return `queue` or `topic`; None where there is nothing that is called *name*."""
        present, path = self._namespace.entities, entity_path(name)
        if path in present.topics:
            return entities.TOPIC
        return entities.QUEUE if path in present.queues else None

    def check_sender(self, name: str) -> None:
        """Raise NotFound, with names like it, unless *name* is a queue or topic."""
        self._namespace.entities.sender(name)

    async def create_queue(self, queue: Queue) -> bool:
        """Create *queue* unless it is there; return whether it was created.

        Raises:
            Invalid: there is a topic of that name.
        """
        if self.kind_of(queue.name) == entities.TOPIC:
            raise Invalid(f"{queue.name} is a topic, expected a queue: choose another name")
        return await self._create([entities.define_queue(queue)])

    async def create_subscription(self, topic: str, subscription: Subscription) -> bool:
        """Create *subscription*, and *topic*, unless they are there; return whether it was created.

        Raises:
            Invalid: *topic* is a queue.
        """
        if self.kind_of(topic) == entities.QUEUE:
            raise Invalid(f"{topic} is a queue, expected a topic: choose another name")
        return await self._create(
            [entities.define_topic(topic), entities.define_subscription(topic, subscription)]
        )

    async def _create(self, wanted: list[entities.Definition]) -> bool:
        present = self._namespace.entities
        known = {*present.queues, *present.senders}
        missing = [definition for definition in wanted if definition[0] not in known]
        if not missing:
            return False

        def create(connection: sqlite3.Connection) -> entities.Entities:
            entities.save(connection, missing)
            return entities.load(connection)

        self._namespace.entities = await self._namespace.database.write(create)
        return True

    def rules(self, path: str) -> Sequence[Rule]:
        """Return the rules of the subscription *path*. Raises NotFound, also for a queue."""
        return self._subscription(path)[1]

    def _subscription(self, path: str) -> tuple[entities.StoredQueue, Sequence[Rule]]:
        held = self._namespace.entities.queues.get(entity_path(path))
        if held is None or held.rules is None:
            raise NotFound(f"no subscription is called {path[:160]!r}")
        return held, held.rules

    async def add_rule(self, path: str, rule: Rule) -> None:
        """Let the subscription *path* take what *rule* matches, too.

        Raises:
            NotFound: there is no such subscription.
            Conflict: it has a rule of that name.
            TooLarge: it has as many rules as there may be.
        """
        held, present = self._subscription(path)
        if any(entity_path(each.name) == entity_path(rule.name) for each in present):
            raise Conflict(f"{path} has a rule {rule.name[:80]!r} already")
        if len(present) >= RULES_MAX:
            raise TooLarge(f"{path} has {RULES_MAX} rules, which is the most")
        await self._change_rules(held, [*present, rule])

    async def remove_rule(self, path: str, name: str) -> None:
        """Remove the rule *name*. Raises NotFound."""
        held, present = self._subscription(path)
        left = [each for each in present if entity_path(each.name) != entity_path(name)]
        if len(left) == len(present):
            raise NotFound(f"{path} has no rule {name[:80]!r}")
        await self._change_rules(held, left)

    async def _change_rules(self, held: entities.StoredQueue, changed: Sequence[Rule]) -> None:
        def change(connection: sqlite3.Connection) -> entities.Entities:
            message_store.save_entity(connection, *entities.with_rules(held, changed))
            return entities.load(connection)

        self._namespace.entities = await self._namespace.database.write(change)

    # Receiving

    def requires_session(self, path: str) -> bool:
        """Return whether a receiver of *path* has sessions. Raises NotFound."""
        number = self._namespace.entities.number(path)
        return number > 0 and self._namespace.entities.settings(number).requires_session

    def open_link(self, path: str) -> ReceiverLink:
        """Return a link that is handed messages of *path* as they are sent. Raises NotFound."""
        number = self._namespace.entities.number(path)
        link = ReceiverLink(path, number, is_handed=not self.requires_session(path))
        self._namespace.receivers.open(link)
        return link

    def close_link(self, link: ReceiverLink) -> None:
        """Hand nothing more to *link*, except what is in transit."""
        self._namespace.receivers.close(link)

    def arrivals(self, path: str) -> Arrivals:
        """Return the counter that rises whenever *path* may have something new to lock."""
        return self._namespace.receivers.arrivals(self._namespace.entities.number(path))

    async def lock(self, path: str, limit: int) -> Sequence[ReceivedMessage]:
        """Lock and return up to *limit* messages that are ready; empty when there are none.

        *path* is a queue, `<topic>/subscriptions/<name>`, or either with `/$DeadLetterQueue`. Each
        lock lasts as long as the entity says, unless it is renewed.

        Raises:
            NotFound: no such queue or subscription.
        """
        namespace = self._namespace
        messages = await namespace.database.write(
            partial(
                namespace.lock_ready,
                queue=namespace.entities.number(path),
                limit=limit,
                now=namespace.now(),
            )
        )
        namespace.hold(messages)
        return messages

    async def lock_deferred(self, path: str, numbers: Sequence[int]) -> Sequence[ReceivedMessage]:
        """Lock and return those of the sequence *numbers* that were deferred and are not locked.

        Raises:
            NotFound: no such queue or subscription.
        """
        namespace = self._namespace
        messages = await namespace.database.write(
            partial(
                namespace.lock_deferred,
                queue=namespace.entities.number(path),
                numbers=numbers,
                now=namespace.now(),
            )
        )
        namespace.hold(messages)
        return messages

    def locked(self, path: str, token: str) -> ReceivedMessage | None:
        """Return the message of *path* that *token* locks; None when it locks nothing there.

        Raises:
            NotFound: no such queue or subscription.
        """
        namespace = self._namespace
        message = namespace.locks.message(token, namespace.clock.monotonic_s())
        queue = namespace.entities.number(path)
        return message if message is not None and message.queue == queue else None

    def renew(self, message: ReceivedMessage) -> float:
        """Hold the lock for its whole duration from now, until the returned epoch second.

        Raises:
            LockLost: the lock is not held.
        """
        namespace = self._namespace
        namespace.locks.renew(message, namespace.clock.monotonic_s())
        return namespace.now() + namespace.entities.settings(message.queue).lock_s

    def keep_renewed(self, message: ReceivedMessage, for_s: float) -> None:
        """Renew the lock whenever it runs out during the next *for_s*; a lost one stays lost."""
        until_s = self._namespace.clock.monotonic_s() + for_s
        self._namespace.locks.keep_renewed(message, until_s)

    async def settle_all(
        self,
        messages: Sequence[ReceivedMessage],
        disposition: Disposition,
        *,
        refill: ReceiverLink | None = None,
    ) -> Sequence[ReceivedMessage]:
        """Complete or abandon *messages* in one commit; return those whose lock was lost.

        The same commit locks as many messages again for *refill*, when its queue holds more.
        """
        return await self._settlement_writer.settle(messages, disposition, refill=refill)

    async def complete(self, message: ReceivedMessage) -> None:
        """Delete *message* from its queue. Raises LockLost."""
        await self._settlement_writer.settle_one(message, Disposition.COMPLETE)

    async def abandon(self, message: ReceivedMessage) -> None:
        """Make *message* ready at once; after its last delivery it is dead-lettered.

        Raises:
            LockLost: the lock is not held.
        """
        await self._settlement_writer.settle_one(message, Disposition.ABANDON)

    async def release(self, message: ReceivedMessage) -> None:
        """Release *message* unseen; the delivery does not count. Raises LockLost."""
        await self._settlement_writer.settle_one(message, Disposition.RELEASE)

    async def defer(self, message: ReceivedMessage) -> None:
        """Set *message* aside: only `lock_deferred` receives it. Raises LockLost."""
        await self._settlement_writer.settle_one(message, Disposition.DEFER)

    async def dead_letter(
        self, message: ReceivedMessage, reason: str, description: str = ""
    ) -> None:
        """Move *message* to the dead-letter sub-queue. Raises LockLost."""
        await self._settlement_writer.settle_one(
            message, Disposition.DEAD_LETTER, reason, description
        )

    async def _expire(self) -> None:
        """Abandon messages whose lock ran out, enqueue due ones, expire old ones."""
        namespace = self._namespace
        now = namespace.now()
        now_s = namespace.clock.monotonic_s()
        expired = namespace.locks.take_expired(now_s) + self.sessions.take_expired(now_s)
        settlements = [namespace.settlement(lock, Disposition.ABANDON) for lock in expired]

        def expire(connection: sqlite3.Connection) -> set[int]:
            message_store.settle(connection, settlements)
            ready = send.enqueue_due(namespace, connection, now)
            message_store.expire(connection, now, namespace.entities.dead_letters_expired)
            return ready

        try:
            ready = await namespace.database.write(expire)
        except BaseException:
            namespace.locks.restore(expired)
            raise
        for lock in expired:
            _log.warning("%s; it is delivered again", LockLost(lock.message))
        namespace.after_settling(expired, settlements)
        namespace.receivers.notify(ready | {-number for number in namespace.entities.by_id})
        namespace.set_timer()
        namespace.timer.set(self.sessions.next_end_s())

    # For operators

    def peek(
        self,
        path: str,
        *,
        after: int = 0,
        limit: int = 100,
        session: str | None = None,
        scheduled: bool = False,
    ) -> Sequence[ReceivedMessage]:
        """Return what *path* holds, locked or not, in order, without locking it.

        *after* is the last sequence number already seen; *scheduled* ones are those that are not
        due yet, and a subscription has none of them. Raises NotFound.
        """
        queue = self._namespace.entities.number(path)
        read = message_store.peek_scheduled if scheduled else message_store.peek
        rows = self._namespace.database.read(
            partial(read, queue=queue, after=after, limit=limit, session=session)
        )
        return [received(row, _NOT_LOCKED, 0.0, begun=0) for row in rows]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for every queue and subscription how many messages and dead letters it holds."""
        held = self._namespace.database.read(message_store.count)
        return {
            each.path: (held.get(each.id, 0), held.get(-each.id, 0))
            for each in self._namespace.entities.queues.values()
        }

    async def resubmit(self, path: str, sequence_number: int) -> bool:
        """Make a dead letter of *path* ready again, there only, its delivery count at zero.

        Other subscriptions of the topic do not see it. Returns False when there is none.
        """
        queue = abs(self._namespace.entities.number(path))
        moved = await self._namespace.database.write(
            partial(message_store.revive, queue=queue, message=sequence_number)
        )
        self._namespace.receivers.notify([queue])
        return moved

    async def discard(self, path: str, sequence_number: int) -> bool:
        """Delete a dead letter of *path* for good; False when there is none."""
        queue = abs(self._namespace.entities.number(path))
        return await self._namespace.database.write(
            partial(message_store.discard, queue=queue, message=sequence_number)
        )
