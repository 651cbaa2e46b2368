"""The argument of a Service Bus function: `ServiceBusMessage` as the Python worker builds it.

The worker decodes a message from the trigger metadata that the host sends along. Here the message
is built directly, since parsing three timestamps back costs more than the rest of a delivery; the
metadata is made only when a function asks for it. That both agree is tested against the library's
own decoder.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessage

from local_cloud.broker.message import ReceivedMessage

_LAST_INSTANT: Final = datetime.max.replace(tzinfo=UTC)
"""When a message without a time to live expires: .NET's `DateTime.MaxValue`."""
_DAY: Final = timedelta(days=1)
"""The library reads `HH:MM:SS` only; a longer time to live is left out, as is an unbounded one."""
_ACTIVE: Final = 0


class LazyMetadata(Mapping[str, Datum]):
    """Trigger metadata that is encoded when it is first read."""

    def __init__(self, write: Callable[[], dict[str, Datum]]) -> None:
        self._write = write
        self._written: dict[str, Datum] | None = None

    def _entries(self) -> dict[str, Datum]:
        if self._written is None:
            self._written = self._write()
        return self._written

    def __getitem__(self, key: str) -> Datum:
        return self._entries()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())


def one(message: ReceivedMessage) -> ServiceBusMessage:
    """Return the argument of a function of cardinality one."""
    return _built(message, LazyMetadata(lambda: metadata_of_one(message)))


def many(messages: Sequence[ReceivedMessage]) -> list[ServiceBusMessage]:
    """Return the argument of a function of cardinality many; all share one set of metadata."""
    metadata = LazyMetadata(lambda: metadata_of_many(messages))
    return [_built(message, metadata) for message in messages]


def metadata_of_one(message: ReceivedMessage) -> dict[str, Datum]:
    """Return the metadata as the host sends it: text as it is, everything else as JSON text."""
    return {
        key: Datum(value, "string") if isinstance(value, str) else _json(value)
        for key, value in _fields(message).items()
        if value is not None
    }


def metadata_of_many(messages: Sequence[ReceivedMessage]) -> dict[str, Datum]:
    """Return one JSON list for each key, the messages in order."""
    fields = [_fields(message) for message in messages]
    return {f"{key}Array": _json([each[key] for each in fields]) for key in fields[0]}


def _json(value: Any) -> Datum:
    return Datum(json.dumps(value), "json")


def _fields(message: ReceivedMessage) -> dict[str, Any]:
    time_to_live = _time_to_live(message)
    properties = application_properties(message)
    return {
        "MessageId": message.message_id,
        "SequenceNumber": message.sequence_number,
        "EnqueuedSequenceNumber": message.sequence_number,
        "DeliveryCount": message.delivery_count,
        "EnqueuedTimeUtc": _text(_instant(message.enqueued_at)),
        "ExpiresAtUtc": _text(_expires_at(message)),
        "LockedUntil": _text(_instant(message.locked_until)),
        "LockToken": message.lock_token,
        "TimeToLive": None if time_to_live is None else f"0{time_to_live}"[-8:],
        "ContentType": message.content_type or None,
        "CorrelationId": message.correlation_id or None,
        "Subject": message.subject or None,
        "Label": message.subject or None,
        "DeadLetterReason": message.dead_letter_reason or None,
        "DeadLetterErrorDescription": message.dead_letter_description or None,
        "State": _ACTIVE,
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }


def application_properties(message: ReceivedMessage) -> dict[str, Any]:
    """Return the sender's properties, and in a dead letter also why it is one."""
    properties = dict(message.application_properties)
    if message.dead_letter_reason:
        properties["DeadLetterReason"] = message.dead_letter_reason
        properties["DeadLetterErrorDescription"] = message.dead_letter_description
    return properties


def _built(message: ReceivedMessage, metadata: Mapping[str, Datum]) -> ServiceBusMessage:
    properties = application_properties(message)
    return ServiceBusMessage(
        body=message.body,
        trigger_metadata=metadata,
        application_properties=properties,
        user_properties=dict(properties),
        message_id=message.message_id,
        sequence_number=message.sequence_number,
        enqueued_sequence_number=message.sequence_number,
        delivery_count=message.delivery_count,
        enqueued_time_utc=_instant(message.enqueued_at),
        expires_at_utc=_expires_at(message),
        locked_until=_instant(message.locked_until),
        lock_token=message.lock_token,
        time_to_live=_time_to_live(message),
        content_type=message.content_type or None,
        correlation_id=message.correlation_id or None,
        subject=message.subject or None,
        label=message.subject or None,
        dead_letter_reason=message.dead_letter_reason or None,
        dead_letter_error_description=message.dead_letter_description or None,
        state=_ACTIVE,
    )


def _instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _expires_at(message: ReceivedMessage) -> datetime:
    return _LAST_INSTANT if message.expires_at is None else _instant(message.expires_at)


def _text(instant: datetime) -> str:
    """Return *instant* with the seven fraction digits that .NET writes."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _time_to_live(message: ReceivedMessage) -> timedelta | None:
    if message.expires_at is None:
        return None
    whole = timedelta(seconds=round(message.expires_at - message.enqueued_at))
    return whole if whole < _DAY else None
