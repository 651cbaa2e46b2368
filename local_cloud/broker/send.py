"""Sends messages: stores them, hands them to links with credit, wakes other receivers."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from local_cloud.broker import duplicates, message_store
from local_cloud.broker.message import (
    AmqpMessage,
    EncodedMessage,
    ReceivedMessage,
    decode,
    encode,
)
from local_cloud.broker.message_store import Copy
from local_cloud.broker.namespace import Namespace
from local_cloud.broker.receiver_link import ReceiverLink
from local_cloud.broker.topology import entity_path
from shared.messaging.broker import OutgoingMessage


@dataclass(slots=True)
class _PreparedMessage:
    message: OutgoingMessage
    encoded: EncodedMessage
    copies: list[Copy]
    handed_to: list[ReceiverLink | None]
    """For each copy the link whose credit it took."""


async def send(
    namespace: Namespace, entity: str, messages: Sequence[OutgoingMessage]
) -> Sequence[int]:
    """Put *messages* on a queue or topic; durable when this returns, all or none.

    Returns the number of each message, 0 where no subscription took it, or the entity took one of
    that id within its window. That of a scheduled one cancels it.

    Raises:
        NotFound: no such queue or topic.
        TooLarge: a message is over 256 KB.
    """
    now = namespace.now()
    later: dict[int, tuple[EncodedMessage, float]] = {}
    at_once: list[_PreparedMessage] = []
    for place, message in enumerate(messages):
        encoded = encode(message)
        copies = namespace.copies_of(entity, message)
        if message.scheduled_at is not None and message.scheduled_at.timestamp() > now:
            later[place] = encoded, message.scheduled_at.timestamp()
        else:
            at_once.append(_PreparedMessage(message, encoded, copies, []))
    window_s = namespace.entities.windows_s.get(entity_path(entity))
    for sent in at_once:
        if window_s is None:
            _reserve_credit(namespace, sent)
        else:  # whether it is enqueued at all, the transaction finds out
            sent.handed_to = [None] * len(sent.copies)

    def store(connection: sqlite3.Connection) -> tuple[list[int], list[int]]:
        sender = namespace.entities.sender(entity)

        def is_new(message_id: str) -> bool:
            return window_s is None or duplicates.is_new(
                connection, sender, message_id, now, window_s
            )

        return [
            message_store.schedule(connection, sender, encoded, due_at)
            if is_new(messages[place].message_id)
            else 0
            for place, (encoded, due_at) in later.items()
        ], [
            message_store.enqueue(connection, sent.encoded, sent.copies, now)
            if is_new(sent.message.message_id)
            else 0
            for sent in at_once
        ]

    try:
        scheduled, numbers = await namespace.database.write(store)
    except BaseException:
        _release_credit(at_once)
        raise
    for sent, number in zip(at_once, numbers, strict=True):
        _hand_to_links(namespace, sent, number, now)
    if later or any(copy.time_to_live_s is not None for sent in at_once for copy in sent.copies):
        namespace.set_timer()
    of_later, of_at_once = iter(scheduled), iter(numbers)
    return [next(of_later if place in later else of_at_once) for place in range(len(messages))]


def _reserve_credit(namespace: Namespace, sent: _PreparedMessage) -> None:
    for index, copy in enumerate(sent.copies):
        link = namespace.receivers.link_with_credit(copy.queue)
        sent.handed_to.append(link)
        if link is not None:
            link.expect()
            sent.copies[index] = replace(copy, lock_token=namespace.token())


def _hand_to_links(namespace: Namespace, sent: _PreparedMessage, number: int, now: float) -> None:
    ready: list[int] = []
    for copy, link in zip(sent.copies, sent.handed_to, strict=True):
        if link is None:
            ready.append(copy.queue)
            continue
        message = _received_message(namespace, sent, copy, number, now)
        namespace.hold([message])
        link.put(message)
    namespace.receivers.notify(ready)


def _received_message(
    namespace: Namespace, sent: _PreparedMessage, copy: Copy, number: int, now: float
) -> ReceivedMessage:
    message = sent.message
    return ReceivedMessage(
        copy.queue,
        number,
        message.message_id,
        sent.encoded.body,
        message.subject,
        message.content_type,
        message.correlation_id,
        dict(message.application_properties),
        1,
        now,
        None if copy.time_to_live_s is None else now + copy.time_to_live_s,
        now + namespace.entities.settings(copy.queue).lock_s,
        copy.lock_token or "",
        amqp=message.amqp if isinstance(message, AmqpMessage) else b"",
    )


def _release_credit(at_once: Sequence[_PreparedMessage]) -> None:
    for sent in at_once:
        for link in sent.handed_to:
            if link is not None:
                link.expect_fewer()


def enqueue_due(namespace: Namespace, connection: sqlite3.Connection, now: float) -> set[int]:
    """Enqueue what was scheduled for *now* or before; return the queues that got something."""
    ready: set[int] = set()
    for number, encoded in message_store.take_due(connection, now):
        copies = namespace.copies_of(namespace.entities.sender_path(number), decode(encoded))
        message_store.enqueue(connection, encoded, copies, now)
        ready.update(copy.queue for copy in copies)
    return ready
