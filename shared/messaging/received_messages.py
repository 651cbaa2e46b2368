"""What a message received from Service Bus says, in plain values.

The SDK gives AMQP's values as they came: text as bytes, and a body that is data, one value, or
sequences of values, as senders of JMS and of AMQP write it. Every message can be read, whatever
its sender wrote: one that could not would stop those received with it.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage


def body_of(message: "ServiceBusReceivedMessage") -> bytes:
    """Return the body as a function sees it: data as it came, else as `body_of_value` has it."""
    from azure.servicebus.amqp import AmqpMessageBodyType  # noqa: PLC0415  heavy: where used

    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    if message.body_type is AmqpMessageBodyType.SEQUENCE:
        return body_of_value([value for sequence in message.body for value in sequence])
    return body_of_value(message.body)


def body_of_value(value: Any) -> bytes:
    """Return bytes as they are, text as UTF-8, nothing as empty, and all else as JSON."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    plain = _plain(value)
    return (plain if isinstance(plain, str) else json.dumps(plain)).encode(errors="replace")


def properties_of(message: "ServiceBusReceivedMessage") -> dict[str, Any]:
    """Return the application properties; a value that JSON lacks is text."""
    return {
        text_of(key): _plain(value) for key, value in (message.application_properties or {}).items()
    }


def text_of(value: Any) -> str:
    """Return what AMQP has as text, bytes, a UUID or a number, as text; nothing is empty."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    match value:
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {text_of(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return text_of(value)
