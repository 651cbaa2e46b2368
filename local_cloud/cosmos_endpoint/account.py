"""The account's databases and containers: definitions beside the documents that they describe."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from local_cloud.cosmos_endpoint.document_rules import TTL_RULE, is_ttl
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.partition_keys import names_of
from local_cloud.cosmos_endpoint.unique_keys import UniqueKeys, constraints_of
from local_cloud.sqlite.rows import quoted
from local_cloud.sqlite.store import SqliteStore
from local_cloud.storage import LocalStorage, file_name
from shared.kernel.errors import Invalid
from shared.persistence.cosmos_form import PARTITION_FIELDS
from shared.persistence.effective_key import SPLIT

KEY_RANGES: Final = (
    {"id": "0", "minInclusive": "", "maxExclusive": SPLIT},
    {"id": "1", "minInclusive": SPLIT, "maxExclusive": "FF"},
)
_KEY_VERSION: Final = 2
_NOT_SERVED: Final = frozenset(
    {
        "analyticalStorageTtl", "changeFeedPolicy", "clientEncryptionPolicy", "computedProperties",
        "fullTextPolicy", "vectorEmbeddingPolicy",
    }
)  # fmt: skip
"""What a container may be created with, and would do something that this endpoint does not."""
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS {table} (text TEXT NOT NULL);"
_OURS: Final = {
    "partitionKey": {
        "paths": [f"/{name}" for name in PARTITION_FIELDS], "kind": "MultiHash", "version": 2,
    },
    "defaultTtl": -1,
}  # fmt: skip
"""Of a container that was opened by an app and never created over the wire."""


@dataclass(frozen=True)
class Container:
    """One container: its definition and its documents."""

    database: str
    name: str
    definition: Mapping[str, Any]
    store: SqliteStore

    @property
    def link(self) -> str:
        return f"dbs/{self.database}/colls/{self.name}"

    @property
    def rid(self) -> str:
        return _rid(self.link, 8)

    @cached_property
    def paths(self) -> Sequence[Sequence[str]]:
        """The partition key's paths, each split into its names."""
        return [names_of(path) for path in self.definition["partitionKey"]["paths"]]

    @cached_property
    def unique_keys(self) -> UniqueKeys:
        return UniqueKeys(self.name, self.definition.get("uniqueKeyPolicy"), self.store.rows)

    @property
    def default_ttl_s(self) -> int | None:
        """None: documents never expire; -1: only those that say when."""
        value = self.definition.get("defaultTtl")
        return None if value is None else int(value)

    @property
    def is_defined(self) -> bool:
        """Whether it was created over the wire or by an output, with a definition of its own."""
        return self.definition is not _OURS

    def shown(self) -> dict[str, Any]:
        """Return the container as the protocol shows it."""
        return {
            **self.definition, "id": self.name, "_rid": self.rid, "_self": f"{self.link}/",
            "_etag": '"0"', "_ts": 0, "_docs": "docs/", "_sprocs": "sprocs/",
            "_triggers": "triggers/", "_udfs": "udfs/", "_conflicts": "conflicts/",
        }  # fmt: skip


class Account:
    """Databases and containers by name."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._empty_databases: set[str] = set()
        self._containers: dict[tuple[str, str], Container] = {}

    def databases(self) -> Sequence[Mapping[str, Any]]:
        names = {*self._empty_databases, *self._storage.database_names()}
        return [_shown_database(name) for name in sorted(names)]

    def database(self, name: str) -> Mapping[str, Any]:
        """Raises CosmosError (404)."""
        if name not in self._empty_databases and name not in self._storage.database_names():
            raise CosmosError(404, "NotFound", f"there is no database {name!r}", substatus=1003)
        return _shown_database(name)

    def create_database(self, name: object) -> Mapping[str, Any]:
        """Raises CosmosError (400, 409)."""
        if not isinstance(name, str):
            raise bad_request(f"a database has an id, got {str(name)[:80]!r}")
        _check_name(name)
        if name in self._empty_databases or name in self._storage.database_names():
            raise CosmosError(409, "Conflict", f"database {name!r} exists")
        self._empty_databases.add(name)
        return _shown_database(name)

    def containers(self, database: str) -> Sequence[Container]:
        self.database(database)
        return [self.container(database, name) for name in self._storage.containers(database)]

    def container(self, database: str, name: str) -> Container:
        """Raises CosmosError (404)."""
        key = (database, name)
        if key not in self._containers:
            if name not in self._storage.containers(database):
                raise CosmosError(
                    404, "NotFound", f"there is no container {database}/{name}", substatus=1003
                )
            self._containers[key] = self._open(database, name)
        return self._containers[key]

    async def create_container(self, database: str, body: Mapping[str, Any]) -> Container:
        """Raises CosmosError (400, 404, 409)."""
        self.database(database)
        name = body.get("id")
        if not isinstance(name, str):
            raise bad_request(f"a container has an id, got {str(name)[:80]!r}")
        _check_name(name)
        if name in self._storage.containers(database):
            raise CosmosError(409, "Conflict", f"container {database}/{name} exists")
        key = _checked_key(body.get("partitionKey"))
        if refused := sorted(_NOT_SERVED.intersection(body)):
            raise bad_request(f"{', '.join(refused)}: not served here, leave it out")
        constraints_of(body.get("uniqueKeyPolicy"))
        _check_ttl(body.get("defaultTtl"))
        kept = ("partitionKey", "defaultTtl", "indexingPolicy", "uniqueKeyPolicy")
        definition = {field: body[field] for field in kept if body.get(field) is not None}
        definition["partitionKey"] = {"kind": "Hash", "version": 2, **key}
        container = self._open(database, name)
        text = json.dumps(definition)
        table = _definitions(name)
        await container.store.database.write(
            lambda db: db.execute(f"INSERT INTO {table} VALUES (?)", (text,)).rowcount  # noqa: S608
        )
        self._containers[(database, name)] = self._open(database, name)
        return self._containers[(database, name)]

    def _open(self, database: str, name: str) -> Container:
        store = self._storage.store(database, name)
        table = _definitions(name)
        store.database.prepare(_SCHEMA.format(table=table))
        row = store.database.read(
            lambda db: db.execute(f"SELECT text FROM {table}").fetchone()  # noqa: S608
        )
        opened = Container(database, name, _OURS if row is None else json.loads(row[0]), store)
        store.database.prepare(opened.unique_keys.schema)
        return opened


def _definitions(name: str) -> str:
    return quoted(f"definition of {name}")


def _check_name(name: str) -> None:
    try:
        file_name(name)
    except Invalid as problem:
        raise bad_request(problem.message) from problem


def _checked_key(key: object) -> Mapping[str, Any]:
    paths = key.get("paths") if isinstance(key, Mapping) else None
    if not isinstance(paths, list) or not 1 <= len(paths) <= len(PARTITION_FIELDS):
        raise bad_request("a container has 1 to 3 partition key paths")
    if len({tuple(names_of(path)) for path in paths}) < len(paths):
        raise bad_request(f"each partition key path is there once, got {paths}")
    assert isinstance(key, Mapping), key
    if key.get("kind", "Hash") not in ("Hash", "MultiHash"):
        raise bad_request(f"a partition key is of kind Hash or MultiHash, got {key['kind']!r}")
    if key.get("version", _KEY_VERSION) != _KEY_VERSION:
        raise bad_request(f"a partition key is of version {_KEY_VERSION}, got {key['version']!r}")
    return key


def _check_ttl(value: object) -> None:
    if value is not None and not is_ttl(value):
        raise bad_request(f"defaultTtl is {TTL_RULE}, got {str(value)[:80]}")


def _shown_database(name: str) -> Mapping[str, Any]:
    link = f"dbs/{name}"
    return {
        "id": name, "_rid": _rid(link, 4), "_self": f"{link}/", "_etag": '"0"', "_ts": 0,
        "_colls": "colls/", "_users": "users/",
    }  # fmt: skip


def _rid(link: str, length: int) -> str:
    return hashlib.sha256(link.encode()).hexdigest()[:length]
