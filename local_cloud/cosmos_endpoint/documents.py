"""Reads and writes the store's rows as documents of Cosmos DB, one by one and in batches."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from local_cloud.cosmos_endpoint import partition_keys
from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.document_rules import TTL_RULE, checked_id, encoded, is_ttl
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.partition_keys import own_partition
from local_cloud.cosmos_endpoint.unique_keys import Values
from local_cloud.sqlite.pages import Row, bounded
from local_cloud.sqlite.rows import LIVE, RowContext, Verb, Write, due_at_of, etag_of, lsn_of
from shared.persistence.effective_key import (
    SEPARATOR,
    UNDEFINED,
    effective_key,
    feed_range_of,
)

_log = logging.getLogger(__name__)
BATCH_MAX_OPERATIONS: Final = 100
BATCH_MAX_BYTES: Final = 2 * 1024 * 1024
"""https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch"""
_COLUMNS: Final = "partition, id, body, lsn, changed_at_s, ttl_s"
_STATUS_CODES: Final = {
    400: "BadRequest", 404: "NotFound", 409: "Conflict", 412: "PreconditionFailed",
}  # fmt: skip
_VERBS: Final = {"Create": Verb.CREATE, "Upsert": Verb.UPSERT, "Replace": Verb.REPLACE,
                 "Delete": Verb.DELETE}  # fmt: skip


@dataclass(frozen=True)
class PartitionRange:
    """Which partitions a query or feed covers; all of them when nothing is set."""

    partition: str | None = None
    feed_range: int | None = None
    start_key: str = ""
    end_key: str = "FF"

    def holds(self, partition: str) -> bool:
        key = effective_key(partition)
        return self.start_key <= key < self.end_key


@dataclass(frozen=True)
class OperationResult:
    """One operation's status; `document` as it is stored now, when there is one."""

    status: int
    document: Mapping[str, Any] | None = None


class _BatchFailed(Exception):
    def __init__(self, index: int, status: int) -> None:
        super().__init__(f"operation {index}: {status}")
        self.index = index
        self.status = status


class _Prepared(NamedTuple):
    """A write, and what it has at the paths of the unique keys."""

    write: Write
    unique: Values = ()


class Documents:
    """The documents of one container."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._store = container.store
        self._rows = container.store.rows
        self._unique = container.unique_keys
        table = self._rows.table
        self._one = f"SELECT {_COLUMNS} FROM {table} WHERE partition = ? AND id = ? AND {LIVE}"  # noqa: S608
        self._all = f"SELECT {_COLUMNS} FROM {table} WHERE {LIVE}"  # noqa: S608
        self._feed = f"SELECT {_COLUMNS} FROM {table} WHERE lsn > ? AND {LIVE}"  # noqa: S608

    @property
    def last_lsn(self) -> int:
        row = self._store.database.read(lambda db: db.execute(self._rows.last).fetchone())
        return int(row[0])

    def read(self, partition: str, document_id: str) -> dict[str, Any]:
        """Raises CosmosError (404)."""
        document = self._store.database.read(lambda db: self._find(db, partition, document_id))
        if document is None:
            raise CosmosError(404, "NotFound", f"there is no document {document_id!r} here")
        return document

    def _find(
        self, connection: sqlite3.Connection, partition: str, document_id: str
    ) -> dict[str, Any] | None:
        parameters = (partition, document_id, self._store.now_s())
        row = connection.execute(self._one, parameters).fetchone()
        return None if row is None else self._shown(row)

    async def write(
        self, partition: str, verb: Verb, document: Mapping[str, Any], if_match: str | None
    ) -> OperationResult:
        """Do one write. Raises CosmosError (400, 404, 409, 412)."""
        prepared = self._write_of(partition, verb, document, if_match)

        def work(connection: sqlite3.Connection) -> OperationResult:
            return self._apply(connection, partition, prepared)

        outcome = await self._store.database.write(work)
        if outcome.status >= 400:  # noqa: PLR2004
            raise CosmosError(
                outcome.status,
                _STATUS_CODES[outcome.status],
                f"{verb.name.lower()} of document {prepared.write.id!r} failed",
            )
        self._store.announce()
        return outcome

    async def batch(
        self, partition: str, operations: Sequence[Mapping[str, Any]]
    ) -> tuple[bool, list[OperationResult]]:
        """Do all *operations* or none; return whether they took effect, and each outcome."""
        if not 1 <= len(operations) <= BATCH_MAX_OPERATIONS:
            raise CosmosError(
                400,
                "BadRequest",
                f"a batch has 1 to {BATCH_MAX_OPERATIONS} operations, got {len(operations)}",
            )
        prepared = [self._prepared(partition, operation) for operation in operations]

        def work(connection: sqlite3.Connection) -> list[OperationResult]:
            outcomes = []
            for index, step in enumerate(prepared):
                outcome = (
                    self._read_step(connection, partition, step)
                    if isinstance(step, str)
                    else self._apply(connection, partition, step)
                )
                if outcome.status >= 400:  # noqa: PLR2004
                    raise _BatchFailed(index, outcome.status)
                outcomes.append(outcome)
            return outcomes

        try:
            outcomes = await self._store.database.write(work)
        except _BatchFailed as failed:
            return False, failed_results(len(operations), failed.index, failed.status)
        self._store.announce()
        return True, outcomes

    def _prepared(self, partition: str, operation: object) -> _Prepared | str:
        if not isinstance(operation, Mapping):
            raise bad_request(f"a batch operation is an object, got {str(operation)[:80]}")
        kind = operation.get("operationType")
        if kind == "Read":
            return checked_id(operation.get("id"))
        if not isinstance(kind, str) or kind not in _VERBS:
            raise bad_request(f"batch operation {str(kind)[:80]!r} is not served here")
        if operation.get("ifNoneMatch") is not None:
            raise bad_request("ifNoneMatch in a batch is not served here")
        body = operation.get("resourceBody") or {}
        if not isinstance(body, Mapping):
            raise bad_request(f"a document is an object, got {str(body)[:80]}")
        document = body if "id" not in operation else {**body, "id": operation["id"]}
        return self._write_of(partition, _VERBS[kind], document, operation.get("ifMatch"))

    def _read_step(
        self, connection: sqlite3.Connection, partition: str, document_id: str
    ) -> OperationResult:
        document = self._find(connection, partition, document_id)
        return OperationResult(404) if document is None else OperationResult(200, document)

    def _apply(
        self, connection: sqlite3.Connection, partition: str, prepared: _Prepared
    ) -> OperationResult:
        now_s = self._store.now_s()
        write, unique = prepared
        key = (partition, write.id)
        if self._unique.are_taken(connection, key, unique, now_s):
            return OperationResult(409)
        verb = write.verb
        existed = False
        if verb is Verb.UPSERT:
            existed = self._rows.find(connection, partition, write.id, now_s) is not None
            if not existed and write.if_lsn is not None:
                write = write._replace(if_lsn=None)
        lsn = self._rows.next_lsn(connection)
        context = RowContext(partition, feed_range_of(partition), now_s)
        status = self._rows.apply(connection, write, lsn, context)
        if status:
            return OperationResult(status)
        self._unique.keep(connection, key, unique)
        self._store.purge(connection, now_s)
        if verb is Verb.DELETE:
            return OperationResult(204)
        created = verb is Verb.CREATE or (verb is Verb.UPSERT and not existed)
        return OperationResult(201 if created else 200, self._find(connection, partition, write.id))

    def _write_of(
        self, partition: str, verb: Verb, document: Mapping[str, Any], if_match: str | None
    ) -> _Prepared:
        document_id = checked_id(document.get("id"))
        if_lsn = None if if_match in {None, "*"} else lsn_of(str(if_match))
        if verb is Verb.DELETE:
            return _Prepared(Write(verb, document_id, if_lsn=if_lsn))
        self._check_partition(partition, document)
        text = encoded(self._kept(document))
        body = document.get("body")
        due_at = due_at_of(body) if isinstance(body, dict) else None
        write = Write(verb, document_id, text, if_lsn, self._ttl_s(document), due_at)
        return _Prepared(write, self._unique.values(document))

    def _check_partition(self, partition: str, document: Mapping[str, Any]) -> None:
        own = own_partition(document, self._container.paths)
        if own != partition:
            raise CosmosError(
                400,
                "BadRequest",
                "the document's partition key does not match the header's: "
                f"{own.split(SEPARATOR)} and {partition.split(SEPARATOR)}",
                substatus=1001,
            )

    def _ttl_s(self, document: Mapping[str, Any]) -> int | None:
        default = self._container.default_ttl_s
        if default is None:
            return None
        value = document.get("ttl", default)
        if not is_ttl(value):
            raise bad_request(f"ttl is {TTL_RULE}, got {str(value)[:80]}")
        return None if value == -1 else value

    def _kept(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored as JSON: not the id, the key's own fields, system fields, ttl."""
        # What is no key, a list say, is shown from here.
        left_out = {"id"} | {
            path[0]
            for path in self._container.paths
            if len(path) == 1 and not isinstance(document.get(path[0]), list | dict)
        }
        if self._container.default_ttl_s == -1:
            left_out.add("ttl")  # shown again from its column
        return {
            name: value
            for name, value in document.items()
            if name not in left_out and name not in _SYSTEM
        }

    def _shown(self, row: Sequence[Any]) -> dict[str, Any]:
        partition, document_id, text, lsn, changed_at_s, ttl_s = row
        document: dict[str, Any] = {"id": document_id}
        for path, part in zip(self._container.paths, partition.split(SEPARATOR), strict=False):
            if len(path) == 1 and part != UNDEFINED:
                document[path[0]] = partition_keys.shown(part)
        document |= json.loads(text)
        if ttl_s is not None and self._container.default_ttl_s == -1:
            document["ttl"] = ttl_s
        return document | {
            "_rid": f"{self._container.rid}{lsn:x}",
            "_self": f"{self._container.link}/docs/{document_id}/",
            "_etag": etag_of(lsn),
            "_attachments": "attachments/",
            "_ts": changed_at_s,
        }

    def within(self, partitions: PartitionRange) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (stored key, document) of *partitions*."""
        sql, parameters = _restricted(partitions, self._all, [self._store.now_s()])
        rows = self._store.database.read(lambda db: db.execute(sql, parameters).fetchall())
        for row in rows:
            if partitions.holds(row[0]) and (document := self._shown_if_readable(row)):
                yield row[0], document

    def changed(
        self, partitions: PartitionRange, after: int, limit: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the latest versions behind lsn *after*, oldest first, and where to go on."""
        sql, parameters = _restricted(partitions, self._feed, [after, self._store.now_s()])

        def work(connection: sqlite3.Connection) -> tuple[list[Row], bool]:
            with closing(connection.execute(f"{sql} ORDER BY lsn", parameters)) as cursor:
                return bounded((row for row in cursor if partitions.holds(row[0])), limit)

        end = self.last_lsn
        rows, more = self._store.database.read(work)
        documents = [
            document | {"_lsn": row[3]}
            for row in rows
            if (document := self._shown_if_readable(row)) is not None
        ]
        return documents, int(rows[-1][3]) if more else max(end, after)

    def _shown_if_readable(self, row: Row) -> dict[str, Any] | None:
        """Return the document of *row*; None for a damaged one, which must not stop the others."""
        try:
            return self._shown(row)
        except ValueError:
            _log.exception("document %r of %s is left out", row[1], self._container.link)
            return None


def _restricted(
    partitions: PartitionRange, sql: str, parameters: list[Any]
) -> tuple[str, list[Any]]:
    if partitions.partition is not None:
        sql += " AND partition = ?"
        parameters.append(partitions.partition)
    if partitions.feed_range is not None:
        sql += " AND feed = ?"
        parameters.append(partitions.feed_range)
    return sql, parameters


_SYSTEM: Final = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})


def failed_results(count: int, index: int, status: int) -> list[OperationResult]:
    """Return the results of a failed batch: 424 for all operations but the one that failed."""
    return [OperationResult(status if number == index else 424) for number in range(count)]
