"""A message: as it is received, how its delivery ends, and how the broker stores it."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shared.kernel.errors import Invalid, TooLarge
from shared.messaging.broker import OutgoingMessage

MESSAGE_MAX_BYTES: Final = 256 * 1024
"""Standard tier, body and properties together."""
MESSAGE_ID_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One delivery. Times are epoch seconds; `lock_token` is empty when it was only peeked."""

    queue: int
    sequence_number: int
    message_id: str
    body: bytes
    subject: str
    content_type: str
    correlation_id: str
    application_properties: Mapping[str, str]
    delivery_count: int
    """1 at the first delivery, as the .NET SDK and therefore the trigger count it."""
    enqueued_at: float
    expires_at: float | None
    locked_until: float = 0.0
    lock_token: str = ""
    dead_letter_reason: str = ""
    dead_letter_description: str = ""
    amqp: bytes = b""
    """`AmqpMessage.amqp` of what was sent; empty when no AMQP client sent it."""
    is_deferred: bool = False
    is_scheduled: bool = False
    """Not due yet: it is only peeked."""
    session_id: str = ""
    """Of a message in a queue or subscription that requires sessions."""
    changes: bytes = b""
    """What AMQP receivers changed of its properties when they gave it up, encoded; settling a copy
    with other changes keeps those."""


@dataclass(frozen=True)
class AmqpMessage(OutgoingMessage):
    """A message of an AMQP client, kept with what the other fields cannot say of it."""

    amqp: bytes = b""
    """Its sections as they came, with the types of its values; the broker does not read them."""
    to: str = ""
    reply_to: str = ""
    session_id: str = ""
    reply_to_session_id: str = ""


class Disposition(Enum):
    """What becomes of a locked delivery."""

    COMPLETE = auto()
    ABANDON = auto()
    """Also an expired lock: ready at once, or dead-lettered when its deliveries are used up."""
    DEAD_LETTER = auto()
    DEFER = auto()
    """Set aside: from now on it is received by its sequence number only."""
    RELEASE = auto()
    """Given back before a function saw it: not counted as a delivery."""


class SessionRequired(Exception):
    """The entity requires sessions, and the message names none."""


class LockLost(Exception):
    """The lock ran out, was settled before, or was given by an earlier host: nothing was done.

    `MessageLockLost` in Service Bus; the message is, or will be, delivered again.
    """

    def __init__(self, message: ReceivedMessage) -> None:
        super().__init__(
            f"the lock of message {message.message_id!r} (sequence number "
            f"{message.sequence_number}, delivery {message.delivery_count}) is not held"
        )
        self.message = message


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """An outgoing message ready for the database."""

    body: bytes
    properties: str
    time_to_live_s: float | None


def encode(message: OutgoingMessage) -> EncodedMessage:
    """Return *message* as it is stored.

    Raises:
        TooLarge: body and properties together are over 256 KB.
        Invalid: the message id is empty or over 128 characters.
    """
    # What came by AMQP was measured there: its sections repeat the properties.
    content = _content(message) if isinstance(message, AmqpMessage) else []
    if not 0 < len(message.message_id) <= MESSAGE_ID_MAX:
        raise Invalid(
            f"message_id has {len(message.message_id)} characters, expected 1 to {MESSAGE_ID_MAX}"
        )
    properties = json.dumps(
        [
            message.message_id,
            message.subject,
            message.content_type,
            message.correlation_id,
            dict(message.application_properties),
            *content,
        ],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    size = len(message.body) + len(properties.encode()) - sum(map(len, content[:1]))
    if size > MESSAGE_MAX_BYTES:
        raise TooLarge(
            f"message {message.message_id!r} has {size} bytes with its properties, "
            f"expected at most {MESSAGE_MAX_BYTES}"
        )
    return EncodedMessage(bytes(message.body), properties, message.time_to_live_s)


def decode(stored: EncodedMessage) -> OutgoingMessage:
    """Return the message that `encode` was given, without its schedule."""
    message_id, subject, content_type, correlation_id, properties, *content = json.loads(
        stored.properties
    )
    return AmqpMessage(
        stored.body,
        message_id,
        subject,
        content_type,
        correlation_id,
        properties,
        stored.time_to_live_s,
        None,
        amqp_of(content),
        *content[1:],
    )


def amqp_of(content: Sequence[str]) -> bytes:
    """Return the sections that the stored *content* of an AMQP client's message stands for."""
    return base64.b64decode(content[0]) if content else b""


def _content(message: AmqpMessage) -> list[str]:
    """Return the sections, and after them what filters and sessions read of them."""
    sections = base64.b64encode(message.amqp).decode()
    read = [message.to, message.reply_to, message.session_id, message.reply_to_session_id]
    return [sections, *read] if any(read) else [sections]
