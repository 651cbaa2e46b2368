"""Messages: from what an AMQP client sends to the broker's form, and back.

The broker reads id, subject, body and the like; the sections that a client sent are kept beside
them as they came, so that a receiver gets each value with its type.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from proton import symbol, ubyte

from local_cloud.broker.message import AmqpMessage, ReceivedMessage
from local_cloud.broker.message_store import DEFERRED
from local_cloud.service_bus_endpoint.sections import (
    APPLICATION_PROPERTIES,
    DATA,
    DELIVERY_ANNOTATIONS,
    FOOTER,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    SEQUENCE,
    VALUE,
    Section,
    decoded,
    encoded_section,
    encoded_value,
    split,
)
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid, TooLarge
from shared.messaging.received_messages import body_of_value

MESSAGES_MAX: Final = 4500
"""Of one batch, as in Service Bus."""
_SCHEDULED_AT: Final = "x-opt-scheduled-enqueue-time"
_OURS: Final = frozenset(
    {
        "x-opt-sequence-number", "x-opt-enqueued-time", "x-opt-locked-until",
        "x-opt-message-state", "x-opt-deadletter-source",
    }
)  # fmt: skip
_MESSAGE_ID, _TO, _SUBJECT, _REPLY_TO, _CORRELATION_ID, _CONTENT_TYPE = 0, 2, 3, 4, 5, 6
_GROUP, _REPLY_TO_GROUP = 10, 12
_SESSION_ID_MAX: Final = 128
_CHANGES_MAX_BYTES: Final = 64 * 1024
_DURABLE, _PRIORITY, _TIME_TO_LIVE = 0, 1, 2
_PRIORITY_DEFAULT: Final = 4
"""Of AMQP, as is that a message is not durable: what is not said means these."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_MAX: Final = 2**32 - 1
_BYTE_MAX: Final = 255
_ONE_DATA: Final = [DATA]
_ACTIVE_STATE, _DEFERRED_STATE, _SCHEDULED_STATE = 0, 1, 2


# What a client sent


def read_batch(encoded: bytes, entropy: Entropy) -> list[AmqpMessage]:
    """Return the messages of a batch, each of which is a data section. Raises Invalid."""
    content = [_data(section) for section in split(encoded) if section.code == DATA]
    if not 0 < len(content) <= MESSAGES_MAX:
        raise Invalid(f"a batch of {len(content)} messages, expected 1 to {MESSAGES_MAX}")
    return [read_message(each, entropy) for each in content]


def read_message(encoded: bytes, entropy: Entropy) -> AmqpMessage:
    """Return one message; one without an id gets one, as in Service Bus. Raises Invalid."""
    by_code: dict[int, list[Section]] = {}
    for section in split(encoded):
        by_code.setdefault(section.code, []).append(section)
        if section.code < DATA and len(by_code[section.code]) > 1:
            raise Invalid(f"section {section.code:#x} of the message is there twice")
    bodies = [section for code in range(DATA, FOOTER) for section in by_code.get(code, ())]
    header = _list_of(by_code, HEADER)
    properties = _list_of(by_code, PROPERTIES)
    annotations = _map_of(by_code, MESSAGE_ANNOTATIONS)
    if not all(key.isascii() for key in annotations):
        raise Invalid("an annotation of the message has a name that is no symbol of AMQP: ASCII")
    kept = [
        section.encoded
        for code in (MESSAGE_ANNOTATIONS, APPLICATION_PROPERTIES, FOOTER)
        for section in by_code.get(code, ())
    ]
    durable, priority = _field(header, _DURABLE) is True, _priority(_field(header, _PRIORITY))
    if durable or priority != _PRIORITY_DEFAULT:
        kept.append(encoded_section(HEADER, encoded_value([durable, ubyte(priority)])))
    if [section.code for section in bodies] != _ONE_DATA:
        kept += [section.encoded for section in bodies]
    if _field(properties, _MESSAGE_ID) is None:
        properties = [entropy.uuid().hex, *properties[1:]]
    kept.append(encoded_section(PROPERTIES, encoded_value(properties)))
    return AmqpMessage(
        _body(bodies),
        _text(_field(properties, _MESSAGE_ID)),
        _text(_field(properties, _SUBJECT)),
        _text(_field(properties, _CONTENT_TYPE)),
        _text(_field(properties, _CORRELATION_ID)),
        _plain(_map_of(by_code, APPLICATION_PROPERTIES)),
        _seconds(_field(header, _TIME_TO_LIVE)),
        _instant(annotations.get(_SCHEDULED_AT)),
        amqp=b"".join(kept),
        to=_text(_field(properties, _TO)),
        reply_to=_text(_field(properties, _REPLY_TO)),
        session_id=_session_id(_field(properties, _GROUP)),
        reply_to_session_id=_text(_field(properties, _REPLY_TO_GROUP)),
    )


def _list_of(by_code: Mapping[int, Sequence[Section]], code: int) -> list[Any]:
    value = by_code[code][0].value if code in by_code else []
    if not isinstance(value, list):
        raise Invalid(f"section {code:#x} of the message is no list")
    return value


def _map_of(by_code: Mapping[int, Sequence[Section]], code: int) -> dict[str, Any]:
    value = by_code[code][0].value if code in by_code else {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Invalid(f"section {code:#x} of the message is no map from texts")
    return value


def _data(section: Section) -> bytes:
    value = section.value
    if not isinstance(value, bytes):
        raise Invalid("a data section of the message is no binary")
    return value


def _field(fields: Sequence[Any], place: int) -> Any:
    return fields[place] if place < len(fields) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _session_id(value: Any) -> str:
    text = _text(value)
    if len(text) > _SESSION_ID_MAX:
        raise Invalid(f"a session id has {len(text)} characters, at most {_SESSION_ID_MAX}")
    return text


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return *properties* as JSON has them: what it lacks, as text."""
    return {
        str(key): bool(value)
        if isinstance(value, bool)
        else int(value)
        if isinstance(value, int)
        else value
        if isinstance(value, float)
        else _text(value)
        for key, value in properties.items()
    }


def _seconds(milliseconds: Any) -> float | None:
    if milliseconds is None:
        return None
    if not isinstance(milliseconds, int) or milliseconds < 0:
        raise Invalid("the time to live of the message is no number of milliseconds")
    return milliseconds / 1000


def _priority(value: Any) -> int:
    """Return the priority that a header says; a broker may take what is none for the usual."""
    return value if isinstance(value, int) and 0 <= value <= _BYTE_MAX else _PRIORITY_DEFAULT


def _instant(milliseconds: Any) -> datetime | None:
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=int(milliseconds))
    except (OverflowError, TypeError, ValueError) as problem:
        raise Invalid(f"{_SCHEDULED_AT} is no instant") from problem


def _body(sections: Sequence[Section]) -> bytes:
    """Return the body as functions see it, here and through an SDK."""
    if any(section.code == VALUE for section in sections):
        return body_of_value(sections[0].value)
    if any(section.code == SEQUENCE for section in sections):
        return body_of_value([value for section in sections for value in _sequence(section)])
    return b"".join(_data(section) for section in sections)


def _sequence(section: Section) -> list[Any]:
    value = section.value
    if not isinstance(value, list):
        raise Invalid("a sequence of the message is no list")
    return value


# What a client receives


def written(message: ReceivedMessage, dead_letter_source: str = "", *, counted: int = 1) -> bytes:
    """Return *message* encoded; *counted* is 0 where no delivery has locked it."""
    kept = list(split(message.amqp)) if message.amqp else _made(message)
    annotations: dict[str, Any] = {}
    properties, application, bodies, footer = b"", None, [], b""
    durable, priority = False, _PRIORITY_DEFAULT
    for section in kept:
        if section.code == MESSAGE_ANNOTATIONS:
            annotations = section.value
        elif section.code == PROPERTIES:
            properties = section.encoded
        elif section.code == APPLICATION_PROPERTIES:
            application = section
        elif section.code == HEADER:
            durable, priority = section.value
        elif section.code == FOOTER:
            footer = section.encoded
        else:
            bodies.append(section.encoded)
    return b"".join(
        (
            _header(message, counted, is_durable=bool(durable), priority=int(priority)),
            _annotations(message, annotations, dead_letter_source),
            properties,
            _application_properties(message, application),
            *(bodies or [encoded_section(DATA, _binary(message.body))]),
            footer,
        )
    )


def lock_token(message: ReceivedMessage) -> UUID:
    """Return the lock as clients know it."""
    return UUID(message.lock_token.rpartition(":")[2])


def lock_texts(token: UUID) -> tuple[str, str]:
    """Return the two forms in which the broker may know *token*."""
    return str(token), f"{DEFERRED}:{token}"


def with_lock_token(encoded: bytes, token: UUID) -> bytes:
    """Return a message with its lock where it is not received by a link, which has it as tag."""
    annotations = encoded_value({symbol("x-opt-lock-token"): token})
    header = next(split(encoded)).encoded
    # After the header: Java's client finds none where it is not the first section.
    return header + encoded_section(DELIVERY_ANNOTATIONS, annotations) + encoded[len(header) :]


def _made(message: ReceivedMessage) -> list[Section]:
    """Return sections of a message that no AMQP client sent."""
    properties = [
        message.message_id,
        None,
        None,
        message.subject or None,
        None,
        message.correlation_id or None,
        symbol(message.content_type) if message.content_type else None,
    ]
    made = encoded_section(PROPERTIES, encoded_value(properties))
    if message.application_properties:
        made += encoded_section(
            APPLICATION_PROPERTIES, encoded_value(dict(message.application_properties))
        )
    return list(split(made))


def _header(message: ReceivedMessage, counted: int, *, is_durable: bool, priority: int) -> bytes:
    """Return a header that has the delivery count also where it is 0: clients need it so."""
    lives = b"\x40"
    if message.expires_at is not None:
        milliseconds = round((message.expires_at - message.enqueued_at) * 1000)
        lives = b"\x70" + struct.pack(">I", min(milliseconds, _MILLISECONDS_MAX))
    earlier = struct.pack(">I", max(0, message.delivery_count - counted))
    first = b"\x41" if is_durable else b"\x40"
    second = b"\x40" if priority == _PRIORITY_DEFAULT else bytes((0x50, priority))
    fields = first + second + lives + b"\x40\x70" + earlier
    return encoded_section(HEADER, b"\xc0" + bytes((len(fields) + 1, 5)) + fields)


def _state(message: ReceivedMessage) -> int:
    if message.is_scheduled:
        return _SCHEDULED_STATE
    return _DEFERRED_STATE if message.is_deferred else _ACTIVE_STATE


def _annotations(message: ReceivedMessage, own: Mapping[str, Any], source: str) -> bytes:
    entries = [
        _long_entry("x-opt-sequence-number", 0x81, message.sequence_number),
        _long_entry("x-opt-enqueued-time", 0x83, round(message.enqueued_at * 1000)),
        _symbol("x-opt-message-state") + b"\x71" + struct.pack(">i", _state(message)),
    ]
    if message.lock_token:
        entries.append(_long_entry("x-opt-locked-until", 0x83, round(message.locked_until * 1000)))
    if source:
        entries.append(_symbol("x-opt-deadletter-source") + encoded_value(source))
    entries += [
        encoded_value(symbol(key)) + encoded_value(value)
        for key, value in own.items()
        if key not in _OURS
    ]
    return encoded_section(MESSAGE_ANNOTATIONS, _map(entries))


def with_changes(message: ReceivedMessage, changes: Mapping[Any, Any] | None) -> ReceivedMessage:
    """Return *message* as it is to be settled by who changed properties of it.

    Raises:
        TooLarge: there are more changes than a message may have.
    """
    if not changes:
        return message
    known = decoded(message.changes) if message.changes else {}
    merged = {**known, **{str(key): value for key, value in changes.items()}}
    encoded = encoded_value(merged)
    if len(encoded) > _CHANGES_MAX_BYTES:
        raise TooLarge(f"changed properties have at most {_CHANGES_MAX_BYTES} bytes")
    return replace(message, changes=encoded)


def _application_properties(message: ReceivedMessage, sent: Section | None) -> bytes:
    if not message.dead_letter_reason and not message.changes:
        return b"" if sent is None else sent.encoded
    properties = {} if sent is None else dict(sent.value)
    if message.changes:
        properties |= decoded(message.changes)
    if message.dead_letter_reason:
        properties["DeadLetterReason"] = message.dead_letter_reason
        properties["DeadLetterErrorDescription"] = message.dead_letter_description
    return encoded_section(APPLICATION_PROPERTIES, encoded_value(properties))


def _map(entries: Sequence[bytes]) -> bytes:
    content = b"".join(entries)
    return b"\xd1" + struct.pack(">II", len(content) + 4, 2 * len(entries)) + content


def _symbol(name: str) -> bytes:
    return b"\xa3" + bytes((len(name),)) + name.encode()


def _long_entry(name: str, constructor: int, value: int) -> bytes:
    return _symbol(name) + bytes((constructor,)) + struct.pack(">q", value)


def _binary(content: bytes) -> bytes:
    return b"\xb0" + struct.pack(">I", len(content)) + content


def uuids(values: Iterable[Any]) -> list[UUID]:
    """Return the lock tokens of a request. Raises Invalid."""
    tokens = list(values)
    if not all(isinstance(token, UUID) for token in tokens):
        raise Invalid("lock-tokens: expected UUIDs")
    return tokens
