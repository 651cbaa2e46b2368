"""The order of a result, and the continuation that names a place in it.

A place is the sort key of the last row of a page, so writes between two pages repeat and skip
nothing. Rows of equal ORDER BY values stand in the order of their ties: the document's id.
"""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.query.values import TEXT_RANK, SortKey, sort_key

Key = list[Any]
"""Parts, each a `SortKey`, a text or a whole number, compared one after the other."""
_TOKEN_MAX: Final = 7_000
"""Characters: SDKs read headers of 8 KB."""
_PLAIN_MAX: Final = 200
_HEAD: Final = 100
_JSON_MAX: Final = 64 * 1024


class Place(NamedTuple):
    """Where a page ended, and how many rows may still come; None is all."""

    key: Key
    left: int | None


def group_key(value: Any) -> SortKey:
    """Return the place of *value* among groups: a long one is cut, so that a place stays short."""
    key = sort_key(value)
    if key[0] >= TEXT_RANK and len(key[1]) > _PLAIN_MAX:
        digest = hashlib.sha256(key[1].encode(errors="surrogatepass")).hexdigest()
        return [key[0], key[1][:_HEAD], digest]
    return key


def is_after(key: Key, place: Key, descends: Sequence[bool]) -> bool:
    """Return whether *key* comes behind *place*; parts beyond *descends* go up."""
    for index, (ours, theirs) in enumerate(zip(key, place, strict=True)):
        if ours != theirs:
            goes_down = index < len(descends) and descends[index]
            return bool(ours < theirs if goes_down else ours > theirs)
    return False


def token_of(place: Place) -> str:
    """Return *place* as a continuation. Raises SqlRefused when it would fit into no header."""
    text = json.dumps([place.key, place.left], separators=(",", ":"))
    token = base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()
    if len(token) > _TOKEN_MAX:
        raise SqlRefused(
            "a page cannot end at a value as long as this one: ask for more items a page"
        )
    return token


def place_of(token: str) -> Place:
    """Return the place in a continuation that a client sent. Raises SqlRefused."""
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(base64.b64decode(token, altchars=b"-_", validate=True), _JSON_MAX)
        key, left = json.loads(text)
    except (ValueError, TypeError, zlib.error, binascii.Error, RecursionError) as problem:
        raise _no_place(token) from problem
    is_count = left is None or (type(left) is int and left >= 0)
    if not isinstance(key, list) or not is_count:
        raise _no_place(token)
    return Place(key, left)


def checked_place(place: Place, key: Key, token: str) -> Place:
    """Return *place* if its key has the form of *key*, of the same query. Raises SqlRefused."""
    if len(place.key) != len(key) or not all(map(_alike, place.key, key)):
        raise _no_place(token)
    return place


def _alike(given: Any, ours: Any) -> bool:
    if not isinstance(ours, list):
        return type(given) is type(ours)
    match given:
        case [int(place), value, *rest] if all(isinstance(part, str) for part in rest):
            is_text = isinstance(value, str)
            return is_text if place >= TEXT_RANK else isinstance(value, int | float)
        case _:
            return False


def _no_place(token: str) -> SqlRefused:
    return SqlRefused(f"not where a page of this query ended: {token[:80]!r}")
