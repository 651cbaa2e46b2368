"""The account's databases and containers: definitions beside the documents that they describe."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from local_cloud.cosmos_endpoint.container_definitions import (
    OURS,
    Definition,
    checked_definition,
    explicit_paths,
    replaced_definition,
)
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.partition_keys import names_of
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress, address_from
from local_cloud.cosmos_endpoint.resource_ids import container_rid, database_rid
from local_cloud.cosmos_endpoint.unique_keys import UniqueKeys
from local_cloud.sqlite.rows import quoted
from local_cloud.sqlite.store import SqliteStore
from local_cloud.storage import LocalStorage, file_name
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Invalid
from shared.persistence.effective_key import SPLIT

KEY_RANGES: Final = (
    {"id": "0", "minInclusive": "", "maxExclusive": SPLIT},
    {"id": "1", "minInclusive": SPLIT, "maxExclusive": "FF"},
)
_NAMED_PARTS: Final = 2
"""`dbs` and a database: a path with no more names nothing."""
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS {table} (text TEXT NOT NULL);"
_SYSTEM: Final = ("salt", "_ts", "_etag", "throughput")
"""What is kept of a container beside its definition."""
THROUGHPUT_DEFAULT: Final = {"offerThroughput": 400}


@dataclass(frozen=True)
class Container:
    """One container: its definition, its documents, and `facts`, its system properties."""

    database: Mapping[str, Any]
    name: str
    definition: Definition
    facts: Mapping[str, Any]
    store: SqliteStore
    is_defined: bool
    """Whether it was created over the wire or by an output, with a definition of its own."""

    @property
    def link(self) -> str:
        return f"dbs/{self.database['id']}/colls/{self.name}"

    @cached_property
    def rid(self) -> str:
        return container_rid(self.database["_rid"], self.name, str(self.facts.get("salt", "")))

    @cached_property
    def self_link(self) -> str:
        return f"{self.database['_self']}colls/{self.rid}/"

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
    def throughput(self) -> Mapping[str, Any]:
        """What it was given, as an offer says it; it is kept and shown, and limits nothing."""
        given: Mapping[str, Any] = self.facts.get("throughput") or THROUGHPUT_DEFAULT
        return given

    def keeps_undefined(self, path: Sequence[str | int]) -> bool:
        """Return whether ORDER BY *path* keeps documents without it: its index names the path."""
        named = explicit_paths(self.definition)
        return any(tuple(path[: len(prefix)]) == tuple(prefix) for prefix in named)

    def shown(self) -> dict[str, Any]:
        """Return the container as the protocol shows it."""
        return {
            "id": self.name, **self.definition, "_rid": self.rid, "_self": self.self_link,
            "_etag": self.facts.get("_etag", '"0"'), "_ts": self.facts.get("_ts", 0),
            "_docs": "docs/", "_sprocs": "sprocs/", "_triggers": "triggers/", "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }  # fmt: skip


class Account:
    """Databases and containers by name."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._entropy = SystemEntropy()
        self._opened: dict[tuple[str, str], tuple[str, Container]] = {}

    def databases(self) -> Sequence[Mapping[str, Any]]:
        return [self._shown(name) for name in self._storage.database_names()]

    def database(self, name: str) -> Mapping[str, Any]:
        """Raises CosmosError (404)."""
        if not self._storage.has_database(name):
            raise CosmosError(404, "NotFound", f"there is no database {name!r}", substatus=1003)
        return self._shown(name)

    def create_database(
        self, name: object, throughput: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Raises CosmosError (400, 409)."""
        checked = _checked_name("database", name)
        if self._storage.has_database(checked):
            raise CosmosError(409, "Conflict", f"database {checked!r} exists")
        self._storage.create_database(checked, {**self._new_facts(), "throughput": throughput})
        return self._shown(checked)

    def database_throughput(self, name: str) -> Mapping[str, Any] | None:
        """Return what a database was given for its containers to share, None without."""
        given: Mapping[str, Any] | None = self._storage.database_facts(name).get("throughput")
        return given

    def replace_database_throughput(self, name: str, throughput: Mapping[str, Any]) -> None:
        """Keep another throughput of a database."""
        facts = {**self._storage.database_facts(name), "throughput": throughput}
        self._storage.create_database(name, facts)

    def delete_database(self, name: str) -> None:
        """Delete it with all of its containers. Raises CosmosError (404)."""
        self.database(name)
        for container in self._storage.containers(name):
            self._forget(name, container)
        self._storage.delete_database(name)

    def by_names(self, address: ResourceAddress) -> ResourceAddress:
        """Return *address* with names where it has resource ids, as `_self` has; else as it is."""
        parts = list(address.segments)
        if len(parts) < _NAMED_PARTS or parts[0] != "dbs" or self._storage.has_database(parts[1]):
            return address
        for database in self.databases():
            if database["_rid"] == parts[1]:
                parts[1] = str(database["id"])
                for container in self.containers(parts[1]) if parts[2:3] == ["colls"] else ():
                    if parts[3:4] == [container.rid]:
                        parts[3] = container.name
                return address_from(tuple(parts))
        return address

    def containers(self, database: str) -> Sequence[Container]:
        self.database(database)
        return [self.container(database, name) for name in self._storage.containers(database)]

    def container(self, database: str, name: str) -> Container:
        """Raises CosmosError (404)."""
        if not self._storage.has_container(database, name):
            raise CosmosError(
                404, "NotFound", f"there is no container {database}/{name}", substatus=1003
            )
        return self._open(database, name)

    async def create_container(
        self, database: str, body: Mapping[str, Any], throughput: Mapping[str, Any] | None = None
    ) -> Container:
        """Raises CosmosError (400, 404, 409)."""
        self.database(database)
        name = _checked_name("container", body.get("id"))
        if self._storage.has_container(database, name):
            raise CosmosError(409, "Conflict", f"container {database}/{name} exists")
        definition = checked_definition(body)
        facts = {**self._new_facts(), "throughput": throughput}
        return await self._define(database, name, {**definition, **facts})

    async def replace_container(self, container: Container, body: Mapping[str, Any]) -> Container:
        """Change what may be changed of a definition. Raises CosmosError (400)."""
        if body.get("id", container.name) != container.name:
            raise bad_request("a container's id cannot be changed")
        definition = replaced_definition(container.definition, body)
        facts = {**container.facts, **self._new_facts(), "salt": container.facts.get("salt", "")}
        return await self._define(
            str(container.database["id"]), container.name, {**definition, **facts}
        )

    async def replace_throughput(
        self, container: Container, throughput: Mapping[str, Any]
    ) -> Container:
        """Keep another throughput of a container."""
        kept = {**container.definition, **container.facts, "throughput": throughput}
        return await self._define(str(container.database["id"]), container.name, kept)

    def delete_container(self, database: str, name: str) -> None:
        """Raises CosmosError (404)."""
        self.container(database, name)
        self._forget(database, name)

    def _forget(self, database: str, name: str) -> None:
        self._opened.pop((database, name), None)
        self._storage.delete_container(database, name)

    async def _define(self, database: str, name: str, kept: Mapping[str, Any]) -> Container:
        store = self._storage.store(database, name)
        table = _definitions(name)
        store.database.prepare(_SCHEMA.format(table=table))
        text = json.dumps(kept)

        def work(connection: Any) -> None:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
            connection.execute(f"INSERT INTO {table} VALUES (?)", (text,))  # noqa: S608

        await store.database.write(work)
        return self._open(database, name)

    def _open(self, database: str, name: str) -> Container:
        """Return the container as it is defined now, perhaps by another account."""
        store = self._storage.store(database, name)
        text, known = self._opened.get((database, name), ("", None))
        table = _definitions(name)
        if known is None or known.store is not store:
            store.database.prepare(_SCHEMA.format(table=table))
            known = None
        row = store.database.read(
            lambda db: db.execute(f"SELECT text FROM {table}").fetchone()  # noqa: S608
        )
        now = "" if row is None else str(row[0])
        if known is None or now != text:
            known = self._defined(database, name, now, store)
            store.database.prepare(known.unique_keys.schema)
            self._opened[(database, name)] = now, known
        return known

    def _defined(self, database: str, name: str, text: str, store: SqliteStore) -> Container:
        kept: Mapping[str, Any] = json.loads(text) if text else {}
        definition = {field: kept[field] for field in kept if field not in _SYSTEM}
        facts = {field: kept[field] for field in _SYSTEM if field in kept}
        return Container(
            self._shown(database), name, definition or OURS, facts, store, is_defined=bool(text)
        )

    def _shown(self, name: str) -> Mapping[str, Any]:
        facts = self._storage.database_facts(name)
        rid = database_rid(name, str(facts.get("salt", "")))
        return {
            "id": name, "_rid": rid, "_self": f"dbs/{rid}/", "_etag": facts.get("_etag", '"0"'),
            "_ts": facts.get("_ts", 0), "_colls": "colls/", "_users": "users/",
        }  # fmt: skip

    def _new_facts(self) -> dict[str, Any]:
        """Return the system properties of what is made or changed now."""
        unique = str(self._entropy.uuid())
        return {"salt": unique, "_etag": f'"{unique}"', "_ts": self._storage.now_s()}


def _definitions(name: str) -> str:
    return quoted(f"definition of {name}")


def _checked_name(what: str, name: object) -> str:
    if not isinstance(name, str):
        raise bad_request(f"a {what} has an id, got {str(name)[:80]!r}")
    try:
        file_name(name)
    except Invalid as problem:
        raise bad_request(problem.message) from problem
    return name
