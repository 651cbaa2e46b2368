"""Bodies of documents as JSON text, written and read by pydantic's encoder.

It writes four times and reads twice as fast as `json`, which does what it cannot: keep lone
surrogates, and refuse numbers that JSON does not have.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from shared.kernel.errors import Invalid

_strict = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def encoded(bodies: Sequence[Mapping[str, Any]]) -> Sequence[bytes]:
    """Return *bodies* as compact JSON.

    Raises:
        Invalid: one is not JSON (also NaN and infinities) or nested too deep to be read again.
    """
    try:
        texts = [to_json(body) for body in bodies]
    except (PydanticSerializationError, ValueError):
        return _encoded_strictly(bodies)
    whole = b"".join(texts)
    # One byte is found ten times as fast as a word, and most bodies have neither N nor I.
    if (b"N" in whole and b"NaN" in whole) or (b"I" in whole and b"Infinity" in whole):
        return _encoded_strictly(bodies)
    return texts


def _encoded_strictly(bodies: Sequence[Mapping[str, Any]]) -> Sequence[bytes]:
    try:
        return [_strict(body).encode() for body in bodies]
    except (TypeError, ValueError, RecursionError) as problem:
        raise Invalid(f"a document's body must be JSON: {problem}") from problem


def decoded(text: str) -> Any:
    """Return the value of the JSON *text*. Raises ValueError."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)
