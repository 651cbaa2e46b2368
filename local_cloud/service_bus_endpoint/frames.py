"""Frames of a connection, one at a time, so that what proton reports belongs to the frame before.

proton does not tell the message format of a transfer, by which a batch differs from a message.
http://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html#section-framing
"""

from typing import Final

from local_cloud.service_bus_endpoint.sections import end_of_value
from shared.kernel.errors import Invalid, TooLarge

FRAME_MAX_BYTES: Final = 64 * 1024
BATCH_FORMAT: Final = 0x80013700
_PROTOCOL_HEADER: Final = b"AMQP"
_HEAD_BYTES: Final = 8
_TRANSFER: Final = b"\x00\x53\x14"
_LIST_8: Final = 0xC0
_FORMAT_PLACE: Final = 3
"""handle, delivery-id, delivery-tag, message-format"""


class Frames:
    """Splits what a connection received; what is added is bounded by who reads."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0

    def add(self, received: bytes) -> None:
        del self._held[: self._at]
        self._at = 0
        self._held += received

    def next(self) -> bytes | None:
        """Return the next frame or protocol header; None until it is whole.

        Raises:
            TooLarge, Invalid: it is no frame of this protocol.
        """
        at, left = self._at, len(self._held) - self._at
        if left < _HEAD_BYTES:
            return None
        is_header = self._held[at : at + 4] == _PROTOCOL_HEADER
        size = _HEAD_BYTES if is_header else int.from_bytes(self._held[at : at + 4], "big")
        if size > FRAME_MAX_BYTES:
            raise TooLarge(f"a frame of {size} bytes, expected at most {FRAME_MAX_BYTES}")
        if size < _HEAD_BYTES:
            raise Invalid(f"a frame of {size} bytes, expected {_HEAD_BYTES} or more")
        if left < size:
            return None
        self._at += size
        return bytes(self._held[at : self._at])


def message_format(frame: bytes) -> int:
    """Return the message format that a transfer frame names; 0 of any other. Raises Invalid."""
    at = 4 * frame[4]
    if frame[:4] == _PROTOCOL_HEADER or frame[at : at + 3] != _TRANSFER:
        return 0
    fields_at = {_LIST_8: 6, 0xD0: 12}.get(frame[at + 3] if at + 3 < len(frame) else 0)
    if fields_at is None:
        return 0
    width = 1 if frame[at + 3] == _LIST_8 else 4
    count = int.from_bytes(frame[at + fields_at - width : at + fields_at], "big")
    if count <= _FORMAT_PLACE:  # as in the later frames of a delivery; the content follows
        return 0
    at += fields_at
    for _ in range(_FORMAT_PLACE):
        at = end_of_value(frame, at)
    if frame[at : at + 1] != b"\x70":
        return 0
    return int.from_bytes(frame[at + 1 : at + 5], "big")
