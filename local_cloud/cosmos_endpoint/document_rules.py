"""What the service takes as a document: its id, time to live, numbers and size.

https://learn.microsoft.com/azure/cosmos-db/concepts-limits
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from shared.persistence.cosmos_form import ID_MAX_BYTES, TTL_MAX_S

DOCUMENT_MAX_BYTES: Final = 2 * 1024 * 1024
DEPTH_MAX: Final = 128
"""Of objects and arrays inside one another."""
TTL_RULE: Final = f"-1 or a whole number from 1 to {TTL_MAX_S}"
_FORBIDDEN_IN_IDS: Final = frozenset("/\\?#")


def checked_id(value: object) -> str:
    """Return *value* if it can be a document's id. Raises CosmosError (400)."""
    if not isinstance(value, str) or not value:
        raise bad_request(f"a document has a text id, got {str(value)[:80]!r}")
    if _FORBIDDEN_IN_IDS.intersection(value):
        raise bad_request(f"an id has none of / \\ ? #, got {value[:80]!r}")
    require_bytes("an id", value, ID_MAX_BYTES)
    return value


def require_bytes(what: str, text: str, at_most: int) -> None:
    """Refuse *text* that is no Unicode or has more than *at_most* bytes as UTF-8, as *what*.

    Raises:
        CosmosError: 400.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as problem:
        raise bad_request(f"{what} is Unicode text, got {text[:80]!r}") from problem
    if size > at_most:
        raise bad_request(f"{what} has at most {at_most} bytes, got {size}")


def is_ttl(value: object) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value == -1 or 1 <= value <= TTL_MAX_S


def encoded(document: Mapping[str, Any]) -> str:
    """Return *document* as JSON. Raises CosmosError (400, 413)."""
    try:
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise bad_request(f"a document is JSON: {problem}") from problem
    # Few documents have as many brackets, so few are walked through.
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth_of(document) > DEPTH_MAX:
        raise bad_request(f"a document has at most {DEPTH_MAX} levels of objects and arrays")
    if len(text) > DOCUMENT_MAX_BYTES:
        spelled = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        size = len(spelled.encode(errors="surrogatepass"))
        if size > DOCUMENT_MAX_BYTES:
            raise CosmosError(
                413,
                "RequestEntityTooLarge",
                f"a document has at most {DOCUMENT_MAX_BYTES} bytes, got {size}",
            )
    return text


def _depth_of(value: Any) -> int:
    """Return how many objects and arrays are inside one another."""
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth
