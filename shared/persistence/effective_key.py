"""Effective partition keys: the place of a key in the hashed key space of Cosmos DB.

Each component of a MultiHash key is hashed by itself (MurmurHash3 x64 128, Austin Appleby, public
domain) and the hashes are joined, so that a prefix of a key is a range of effective keys. Byte
layout as the official SDKs compute it (`azure.cosmos.partition_key`, version 2): a test compares.
"""

import json
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shared.kernel.errors import Invalid

SEPARATOR: Final = "\x1f"
"""Between the components of a stored key; sorts before every character a component may have."""
UNDEFINED: Final = "\x01"
"""A stored component whose document had no such field; other non-text follows it as JSON, and so
does text that holds this or the separator."""
SPLIT: Final = "1" + "F" * 31
"""The lower range ends here: half of the key space, whose top two bits are never set."""

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_HIGH_MASK: Final = _MASK >> 2
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F


def partition_text(values: Sequence[str]) -> str:
    """Return *values* as one sortable text, of which a prefix of the key is a prefix.

    Raises:
        Invalid: a value holds a control character.
    """
    text = SEPARATOR.join(values)
    if not text.replace(SEPARATOR, "", len(values) - 1).isprintable():
        raise Invalid(f"a partition value must have no control characters, got {values!r}")
    return text


@lru_cache(maxsize=65536)
def effective_key(text: str) -> str:
    """Return the effective key of the stored key *text*, 32 hex digits for each component."""
    return "".join(_component_hash(part) for part in text.split(SEPARATOR))


@lru_cache(maxsize=65536)
def feed_range_of(text: str) -> int:
    """Return which of the two key ranges holds the stored key *text*."""
    return 0 if effective_key(text) < SPLIT else 1


@lru_cache(maxsize=65536)
def _component_hash(part: str) -> str:
    low, high = murmur3_128(_encoded(part))
    return f"{((high & _HIGH_MASK) << 64) | low:032X}"


def _encoded(part: str) -> bytes:
    if part == UNDEFINED:
        return b"\x00"
    value = json.loads(part[1:]) if part.startswith(UNDEFINED) else part
    match value:
        case str():
            return b"\x08" + value.encode() + b"\xff"
        case None:
            return b"\x01"
        case False:
            return b"\x02"
        case True:
            return b"\x03"
        case _:
            return b"\x05" + struct.pack("<d", float(value))


def murmur3_128(data: bytes) -> tuple[int, int]:
    """Return both 64-bit halves of MurmurHash3 x64 128 with seed 0."""
    first, second = 0, 0
    whole = len(data) & ~15
    for position in range(0, whole, 16):
        k1, k2 = struct.unpack_from("<QQ", data, position)
        first ^= _spread(k1, _C1, 31, _C2)
        first = ((_rotated(first, 27) + second) * 5 + 0x52DCE729) & _MASK
        second ^= _spread(k2, _C2, 33, _C1)
        second = ((_rotated(second, 31) + first) * 5 + 0x38495AB5) & _MASK
    k1, k2 = struct.unpack("<QQ", data[whole:].ljust(16, b"\0"))
    first ^= _spread(k1, _C1, 31, _C2) ^ len(data)
    second ^= _spread(k2, _C2, 33, _C1) ^ len(data)
    first = (first + second) & _MASK
    second = (second + first) & _MASK
    first, second = _mixed(first), _mixed(second)
    first = (first + second) & _MASK
    return first, (second + first) & _MASK


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _MASK


def _spread(value: int, before: int, by: int, after: int) -> int:
    return (_rotated((value * before) & _MASK, by) * after) & _MASK


def _mixed(value: int) -> int:
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & _MASK
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & _MASK
    return value ^ (value >> 33)
