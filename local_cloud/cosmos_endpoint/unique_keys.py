"""Unique keys: no two documents of one partition have the same values at a constraint's paths.

https://learn.microsoft.com/azure/cosmos-db/unique-keys
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint import partition_keys
from local_cloud.cosmos_endpoint.errors import bad_request
from local_cloud.sqlite.rows import Rows, quoted

CONSTRAINTS_MAX: Final = 10
PATHS_MAX: Final = 16
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (number INTEGER NOT NULL, partition TEXT NOT NULL,"
    " value TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (number, partition, value));"
    "CREATE INDEX IF NOT EXISTS {index} ON {table} (partition, id);"
)
Values = Sequence[str]
"""One text for each constraint."""


def constraints_of(policy: object) -> Sequence[Sequence[Sequence[str]]]:
    """Return the paths of each constraint in a `uniqueKeyPolicy`. Raises CosmosError (400)."""
    keys = policy.get("uniqueKeys", []) if isinstance(policy, Mapping) else None
    if policy is None:
        return []
    if not isinstance(keys, list) or len(keys) > CONSTRAINTS_MAX:
        raise bad_request(f"uniqueKeyPolicy has uniqueKeys, at most {CONSTRAINTS_MAX}")
    return [_paths(key) for key in keys]


def _paths(key: object) -> Sequence[Sequence[str]]:
    paths = key.get("paths") if isinstance(key, Mapping) else None
    if not isinstance(paths, list) or not 1 <= len(paths) <= PATHS_MAX:
        raise bad_request(f"a unique key has 1 to {PATHS_MAX} paths, got {str(key)[:80]}")
    return [partition_keys.names_of(path) for path in paths]


class UniqueKeys:
    """The constraints of one container, kept beside its documents."""

    def __init__(self, name: str, policy: object, rows: Rows) -> None:
        self._constraints = constraints_of(policy)
        self._rows = rows
        table = quoted(f"unique keys of {name}")
        self._schema = _SCHEMA.format(table=table, index=quoted(f"unique keys of {name} by id"))
        self._find = f"SELECT id FROM {table} WHERE number = ? AND partition = ? AND value = ?"  # noqa: S608
        self._forget = f"DELETE FROM {table} WHERE partition = ? AND id = ?"  # noqa: S608
        self._keep = f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)"  # noqa: S608

    @property
    def schema(self) -> str:
        return self._schema if self._constraints else ""

    def values(self, document: Mapping[str, Any]) -> Values:
        """Return what *document* has at the paths of each constraint."""
        return [
            json.dumps([_comparable(partition_keys.value_at(document, path)) for path in paths])
            for paths in self._constraints
        ]

    def are_taken(
        self, connection: sqlite3.Connection, key: tuple[str, str], values: Values, now_s: int
    ) -> bool:
        """Return whether a living document of the partition, other than *key*, has a value."""
        partition, document_id = key
        for index, value in enumerate(values):
            row = connection.execute(self._find, (index, partition, value)).fetchone()
            holder = document_id if row is None else row[0]
            if holder != document_id and self._rows.find(connection, partition, holder, now_s):
                return True
        return False

    def keep(self, connection: sqlite3.Connection, key: tuple[str, str], values: Values) -> None:
        """Store the *values* of *key* in place of its former ones; none when it was deleted."""
        if self._constraints:
            connection.execute(self._forget, key)
            rows = [(index, key[0], value, key[1]) for index, value in enumerate(values)]
            connection.executemany(self._keep, rows)


def _comparable(value: Any) -> Any:
    """Return *value* so that equal ones have equal JSON."""
    match value:
        case bool():
            return value
        case int() | float():
            return partition_keys.number(value)
        case list():
            return [_comparable(each) for each in value]
        case dict():
            return {name: _comparable(value[name]) for name in sorted(value)}
        case _:
            return value
