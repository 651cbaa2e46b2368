"""Partition keys: the paths of a definition, and values as one stored text.

A component is stored as it is when it is plain text; a number, true, false, null, and a text that
would read as something else follow a mark as JSON. Numbers are doubles, as in Cosmos DB: 30 and
30.0 are one value.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint.document_rules import require_bytes
from local_cloud.cosmos_endpoint.errors import bad_request
from shared.persistence.effective_key import SEPARATOR, UNDEFINED

KEY_MAX_BYTES: Final = 2048
"""https://learn.microsoft.com/azure/cosmos-db/concepts-limits"""
_SEGMENT: Final = re.compile(r'/(?:"((?:[^"\\]|\\.)+)"|([^/"?*\\\[\]]+))')
_INTEGERS_BELOW: Final = 2.0**63


def names_of(path: object) -> Sequence[str]:
    """Return the names in *path*, `/address/"zip code"` say. Raises CosmosError (400)."""
    names: list[str] = []
    at = 0
    text = path if isinstance(path, str) else ""
    while at < len(text) and (match := _SEGMENT.match(text, at)) is not None:
        names.append(_unquoted(match[1]) if match[1] is not None else match[2])
        at = match.end()
    if not names or at < len(text):
        raise bad_request(f'a path has the form /name or /"any name", got {str(path)[:80]!r}')
    return names


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def value_at(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at *path*; what is missing is `{}`, the key header's undefined."""
    value: Any = document
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return {}
        value = value[name]
    return value


def key_values(text: str) -> Sequence[Any]:
    """Return the values in the JSON *text* of a partition key. Raises CosmosError (400)."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise bad_request(f"a partition key is a JSON list, got {text[:80]!r}") from problem
    if not isinstance(values, list):
        raise bad_request(f"a partition key is a JSON list, got {text[:80]!r}")
    return values


def whole_key(values: Sequence[Any], paths: Sequence[Sequence[str]]) -> Sequence[Any]:
    """Return *values* if there is one for each of *paths*. Raises CosmosError (400)."""
    if len(values) != len(paths):
        raise bad_request(
            f"expected a partition key of {len(paths)} values, got {len(values)}", substatus=1001
        )
    return values


def own_partition(document: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> str:
    """Return the stored key of *document*. Raises CosmosError (400)."""
    values = (value_at(document, path) for path in paths)
    return partition_of([{} if isinstance(value, list | dict) else value for value in values])


def partition_of(values: Sequence[Any]) -> str:
    """Return the stored key of the JSON *values* of a partition key header. Raises CosmosError."""
    key = SEPARATOR.join(map(_component, values))
    require_bytes("a partition key", key, KEY_MAX_BYTES)
    return key


def _component(value: Any) -> str:
    match value:
        case str() if value.startswith(UNDEFINED) or SEPARATOR in value:
            return UNDEFINED + json.dumps(value)
        case str():
            return value
        case bool() | None:
            return UNDEFINED + json.dumps(value)
        case int() | float():
            return UNDEFINED + json.dumps(number(value))
        case {} if not value:
            return UNDEFINED
        case _:
            raise bad_request(
                f"a partition key's value is text, a number, true, false or null, got"
                f" {str(value)[:80]}"
            )


def number(value: float) -> float:
    """Return *value* as the double it is in Cosmos DB, whole ones as int. Raises CosmosError."""
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise bad_request("a number is at most 1.8e308")
    return int(double) if double.is_integer() and abs(double) < _INTEGERS_BELOW else double


def shown(component: str) -> Any:
    """Return the value of a stored component; `{}` where the document has none."""
    if component == UNDEFINED:
        return {}
    return json.loads(component[1:]) if component.startswith(UNDEFINED) else component
