"""Entities as JSON, filters and addresses of the Table service.

https://learn.microsoft.com/rest/api/storageservices/payload-format-for-table-service-operations.
Served are the types that a row of ours has: text, `Edm.Int64`, `Edm.Double` and `Edm.Boolean`.
"""

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from local_cloud.storage_endpoint.errors import StorageRefused, invalid, not_implemented
from shared.persistence.tables import TableRow, Value

_TYPE: Final = "@odata.type"
_NOT_VALUES: Final = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_QUOTED: Final = "'((?:[^']|'')*)'"
_CONDITION: Final = re.compile(rf"(PartitionKey|RowKey) (eq|gt|ge|lt|le) {_QUOTED}( and |\Z)")
_ADDRESS: Final = re.compile(
    rf"([A-Za-z0-9]{{1,63}})(?:\(\)|\(PartitionKey={_QUOTED},RowKey={_QUOTED}\))?"
)


@dataclass(frozen=True)
class Address:
    """A table, and of an entity its two keys."""

    table: str
    keys: tuple[str, str] | None


@dataclass(frozen=True)
class Filter:
    """The rows of one partition whose keys are within `bounds`: a comparison and a key each."""

    partition_key: str
    bounds: tuple[tuple[str, str], ...]


def address_of(path: str) -> Address:
    """Return what *path*, decoded, addresses. Raises StorageRefused."""
    match = _ADDRESS.fullmatch(path)
    if match is None:
        raise invalid("the address is none of a table or an entity", "InvalidUri")
    table, partition_key, row_key = match.groups()
    if partition_key is None:
        return Address(table, None)
    return Address(table, (partition_key.replace("''", "'"), row_key.replace("''", "'")))


def filter_of(text: str) -> Filter:
    """Return the filter: one partition, and bounds of the row key. Raises StorageRefused."""
    partitions: list[str] = []
    bounds: list[tuple[str, str]] = []
    end = 0
    while end < len(text) or not partitions:
        match = _CONDITION.match(text, end)
        if match is None:
            raise not_implemented(f"the filter {text[:200]!r}: only keys are compared")
        name, comparison, key = match[1], match[2], match[3].replace("''", "'")
        if name == "RowKey":
            bounds.append((comparison, key))
        elif comparison == "eq":
            partitions.append(key)
        else:
            raise not_implemented("a filter over several partitions")
        end = match.end()
    if len(partitions) != 1 or text.endswith(" and "):
        raise not_implemented(f"the filter {text[:200]!r}: it names one partition")
    return Filter(partitions[0], tuple(bounds))


def row_of(body: bytes, keys: tuple[str, str] | None = None) -> TableRow:
    """Return the entity in *body*, with *keys* where its address has them.

    Raises:
        StorageRefused: it is no entity, or has a type that is not served.
    """
    try:
        fields = from_json(body)
    except ValueError:
        fields = None  # without its cause, which may quote the body
    if not isinstance(fields, dict):
        raise invalid("an entity is a JSON object")
    own = (fields.get("PartitionKey"), fields.get("RowKey"))
    if keys is not None and own == (None, None):
        own = keys
    partition_key, row_key = own
    if not (isinstance(partition_key, str) and isinstance(row_key, str)) or own != (keys or own):
        raise invalid(
            "The values are not specified for all properties in the entity: PartitionKey and"
            " RowKey are texts, those of the address where it has them.",
            "PropertiesNeedValue",
        )
    values = {
        name: _value(name, value, fields.get(f"{name}{_TYPE}"))
        for name, value in fields.items()
        if not (value is None or name in _NOT_VALUES or name.endswith(_TYPE))
        and not name.startswith("odata.")
    }
    return TableRow(partition_key, row_key, values)


def _value(name: str, value: Any, kind: Any) -> Value:
    match kind, value:
        case ("Edm.String" | None, str() as text):
            return text
        case ("Edm.Boolean" | None, bool() as is_so):
            return is_so
        case "Edm.Int64", str() if _WHOLE.fullmatch(value):
            return int(value)
        case ("Edm.Double", int() | float()) | (None, float()) if not isinstance(value, bool):
            return float(value)
        case (None, int()) | ("Edm.Int32" | "Edm.Binary" | "Edm.DateTime" | "Edm.Guid", _):
            raise not_implemented(f"values of the type {kind or 'Edm.Int32'} ({name[:80]!r})")
        case _:
            raise invalid(f"the value of {name[:80]!r} is none of its type")


def entity_of(row: TableRow, selected: Collection[str] | None) -> Mapping[str, Any]:
    """Return *row* as an entity, with the *selected* properties only where some are."""
    entity: dict[str, Any] = {"PartitionKey": row.partition_key, "RowKey": row.row_key}
    for name, value in row.values.items():
        entity[name] = value
        if isinstance(value, int) and not isinstance(value, bool):
            entity[name] = str(value)
            entity[f"{name}{_TYPE}"] = "Edm.Int64"
    if selected is None:
        return entity
    return {name: value for name, value in entity.items() if name.removesuffix(_TYPE) in selected}


def token_of(key: str) -> str:
    """Return *key* as it stands in the headers and parameters of a continuation."""
    return f"1!{base64.urlsafe_b64encode(key.encode()).decode()}"


def key_of(token: str) -> str:
    """Return the key of a continuation. Raises StorageRefused."""
    try:
        return base64.b64decode(token.removeprefix("1!"), b"-_", validate=True).decode()
    except ValueError as problem:
        raise invalid("the continuation is none of this query") from problem


def error_body(refused: StorageRefused, index: int | None = None) -> bytes:
    """Return the body of an error; in a transaction *index* says which operation failed."""
    message = refused.message if index is None else f"{index}:{refused.message}"
    body = {"code": refused.code, "message": {"lang": "en-US", "value": message}}
    return json.dumps({"odata.error": body}).encode()
