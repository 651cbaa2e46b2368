"""The sections of an encoded AMQP message, found without decoding what is in them.

http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-messaging-v1.0-os.html#section-message-format
Values themselves are decoded and encoded by proton.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from proton import Data

from shared.kernel.errors import Invalid

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
SEQUENCE: Final = 0x76
VALUE: Final = 0x77
FOOTER: Final = 0x78

_DESCRIBED: Final = 0x00
_SMALL_ULONG: Final = 0x53
_ULONG: Final = 0x80
_FIXED_WIDTHS: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
"""Bytes of a value, by the first half of its constructor."""
_SIZE_WIDTHS: Final = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}
"""Bytes of the size that precedes a value."""
_NESTED_MAX: Final = 4
"""Described values in described values; nobody has more than one."""


@dataclass(frozen=True, slots=True)
class Section:
    """`encoded` is the whole section, which begins with its descriptor."""

    code: int
    encoded: bytes
    value_at: int

    @property
    def value(self) -> Any:
        return decoded(self.encoded[self.value_at :])


def split(encoded: bytes) -> Iterator[Section]:
    """Yield the sections of a message in order. Raises Invalid."""
    at = 0
    while at < len(encoded):
        code, value_at = _descriptor(encoded, at)
        end = end_of_value(encoded, value_at)
        yield Section(code, encoded[at:end], value_at - at)
        at = end


def _descriptor(encoded: bytes, at: int) -> tuple[int, int]:
    """Return the code of the section at *at*, and where its value begins."""
    head = encoded[at : at + 10]
    if head[:2] == bytes((_DESCRIBED, _SMALL_ULONG)) and len(head) > len("\x00\x53"):
        code, value_at = head[2], at + 3
    elif head[:2] == bytes((_DESCRIBED, _ULONG)):
        code, value_at = int.from_bytes(head[2:], "big"), at + 10
    else:
        raise Invalid(f"byte {at} of the message begins no section")
    if not HEADER <= code <= FOOTER:
        raise Invalid(f"byte {at} of the message begins section {code:#x}, expected 0x70 to 0x78")
    return code, value_at


def end_of_value(encoded: bytes, at: int, depth: int = 0) -> int:
    """Return where the value that begins at *at* ends. Raises Invalid when it is cut off."""
    if at >= len(encoded) or depth > _NESTED_MAX:
        raise Invalid(f"a value at byte {at} is cut off")
    constructor = encoded[at]
    if constructor == _DESCRIBED:
        return end_of_value(encoded, end_of_value(encoded, at + 1, depth + 1), depth + 1)
    kind = constructor >> 4
    if kind in _FIXED_WIDTHS:
        end = at + 1 + _FIXED_WIDTHS[kind]
    elif kind in _SIZE_WIDTHS:
        width = _SIZE_WIDTHS[kind]
        end = at + 1 + width + int.from_bytes(encoded[at + 1 : at + 1 + width], "big")
    else:
        raise Invalid(f"byte {at} of the message is no constructor: {constructor:#x}")
    if end > len(encoded):
        raise Invalid(f"a value at byte {at} is cut off")
    return end


def decoded(encoded: bytes) -> Any:
    """Return the value that *encoded* is, its binaries copied. Raises Invalid."""
    data = Data()
    try:
        data.decode(encoded)
        data.rewind()
        data.next()
        return _owned(data.get_object())
    except Exception as problem:
        # Whatever proton raises for foreign bytes, they are the sender's mistake.
        raise Invalid("a value of the message cannot be decoded") from problem


def _owned(value: Any) -> Any:
    """Return *value* without views of a buffer that proton uses again."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, dict):
        return {key: _owned(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_owned(each) for each in value]
    return value


def encoded_value(value: Any) -> bytes:
    """Return *value* encoded: a Python value or one of proton's types."""
    data = Data()
    data.put_object(value)
    return data.encode()


def encoded_section(code: int, value: bytes) -> bytes:
    """Return a section whose *value* is encoded already."""
    return bytes((_DESCRIBED, _SMALL_ULONG, code)) + value
