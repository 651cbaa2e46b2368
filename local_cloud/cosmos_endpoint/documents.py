"""Reads and writes single documents of a container, one by one and in batches."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.document_form import COLUMNS, DocumentForm
from local_cloud.cosmos_endpoint.document_rules import checked_id
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.partition_keys import own_partition
from local_cloud.cosmos_endpoint.patch import Patch, patched
from local_cloud.cosmos_endpoint.queries import holds_for
from local_cloud.cosmos_endpoint.unique_keys import Values
from local_cloud.sqlite.rows import LIVE, RowContext, Verb, Write, columns_of, lsn_of
from shared.persistence.effective_key import SEPARATOR, feed_range_of

_STATUS_CODES: Final = {
    400: "BadRequest", 404: "NotFound", 409: "Conflict", 412: "PreconditionFailed",
}  # fmt: skip
FAILED: Final = 400
"""Statuses from here on are failures."""


@dataclass(frozen=True)
class OperationResult:
    """One operation's status; `document` as it is stored now, when there is one."""

    status: int
    document: Mapping[str, Any] | None = None
    message: str = ""


class PreparedWrite(NamedTuple):
    """A write that needs no look at what is there, and its values at the unique keys' paths."""

    write: Write
    unique: Values = ()


@dataclass(frozen=True)
class PreparedRead:
    """A read of one document, `if_none_match` of an etag."""

    id: str
    if_none_match: str | None = None


@dataclass(frozen=True)
class PreparedPatch:
    """A partial update of one document."""

    id: str
    patch: Patch
    if_match: str | None = None


Operation = PreparedWrite | PreparedRead | PreparedPatch


class _BatchFailed(Exception):
    def __init__(self, index: int, result: OperationResult) -> None:
        super().__init__(f"operation {index}: {result.status}")
        self.index = index
        self.result = result


class Documents:
    """The documents of one container, by their keys."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._store = container.store
        self._rows = container.store.rows
        self._unique = container.unique_keys
        self._form = DocumentForm(container)
        table = self._rows.table
        self._ids = f"SELECT id FROM {table} WHERE partition = ? AND {LIVE}"  # noqa: S608
        self._one = f"SELECT {COLUMNS} FROM {table} WHERE partition = ? AND id = ? AND {LIVE}"  # noqa: S608

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
        return None if row is None else self._form.shown(row)

    async def write(
        self, partition: str, verb: Verb, document: Mapping[str, Any], if_match: str | None
    ) -> OperationResult:
        """Do one write. Raises CosmosError (400, 404, 409, 412)."""
        return await self.run(partition, self.prepared(partition, verb, document, if_match))

    async def run(self, partition: str, operation: Operation) -> OperationResult:
        """Do one operation. Raises CosmosError (400, 404, 409, 412)."""
        result = await self.tried(partition, operation)
        if result.status >= FAILED:
            message = result.message or f"the operation failed with {result.status}"
            raise CosmosError(result.status, _STATUS_CODES[result.status], message)
        return result

    async def tried(self, partition: str, operation: Operation) -> OperationResult:
        """Do one operation; its failure is its result."""
        try:
            (result,) = await self._in_one_write(partition, [operation])
        except _BatchFailed as failed:
            return failed.result
        return result

    async def batch(
        self, partition: str, operations: Sequence[Operation]
    ) -> tuple[bool, list[OperationResult]]:
        """Do all *operations* or none; return whether they took effect, and each outcome."""
        try:
            return True, await self._in_one_write(partition, operations)
        except _BatchFailed as failed:
            return False, failed_results(len(operations), failed.index, failed.result)

    async def delete_all(self, partition: str) -> None:
        """Delete every document of *partition*."""

        def work(connection: sqlite3.Connection) -> None:
            ids = connection.execute(self._ids, (partition, self._store.now_s())).fetchall()
            for (document_id,) in ids:
                delete = PreparedWrite(Write(Verb.DELETE, document_id))
                self._apply(connection, partition, delete)

        await self._store.database.write(work)
        self._store.announce()

    async def _in_one_write(
        self, partition: str, operations: Sequence[Operation]
    ) -> list[OperationResult]:
        def work(connection: sqlite3.Connection) -> list[OperationResult]:
            outcomes = []
            for index, operation in enumerate(operations):
                outcome = self._step(connection, partition, operation)
                if outcome.status >= FAILED:
                    raise _BatchFailed(index, outcome)
                outcomes.append(outcome)
            return outcomes

        results = await self._store.database.write(work)
        self._store.announce()
        return results

    def _step(
        self, connection: sqlite3.Connection, partition: str, operation: Operation
    ) -> OperationResult:
        match operation:
            case PreparedRead(document_id, if_none_match):
                document = self._find(connection, partition, document_id)
                if document is None:
                    return OperationResult(404, message=f"there is no document {document_id!r}")
                is_known = if_none_match in {document["_etag"], "*"}
                return OperationResult(304 if is_known else 200, document)
            case PreparedPatch():
                return self._patch(connection, partition, operation)
            case _:
                return self._apply(connection, partition, operation)

    def _patch(
        self, connection: sqlite3.Connection, partition: str, operation: PreparedPatch
    ) -> OperationResult:
        document = self._find(connection, partition, operation.id)
        if document is None:
            return OperationResult(404, message=f"there is no document {operation.id!r}")
        condition = operation.patch.condition
        try:
            if condition is not None and not holds_for(self._container, condition, document):
                return OperationResult(412, message="the patch's condition is not met")
            # An etag of the client's is checked by the replace, else nothing came in between.
            write = self.prepared(
                partition,
                Verb.REPLACE,
                patched(document, operation.patch),
                operation.if_match or document["_etag"],
            )
        except CosmosError as error:
            return OperationResult(error.status, message=error.message)
        return self._apply(connection, partition, write)

    def _apply(
        self, connection: sqlite3.Connection, partition: str, prepared: PreparedWrite
    ) -> OperationResult:
        now_s = self._store.now_s()
        write, unique = prepared
        key = (partition, write.id)
        if self._unique.are_taken(connection, key, unique, now_s):
            return OperationResult(409, message="Unique index constraint violation.")
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
            return OperationResult(status, message=_reason(status, write))
        self._unique.keep(connection, key, unique)
        self._store.purge(connection, now_s)
        if verb is Verb.DELETE:
            return OperationResult(204)
        created = verb is Verb.CREATE or (verb is Verb.UPSERT and not existed)
        return OperationResult(201 if created else 200, self._find(connection, partition, write.id))

    def prepared(
        self, partition: str, verb: Verb, document: Mapping[str, Any], if_match: str | None
    ) -> PreparedWrite:
        """Return the write of *document*. Raises CosmosError (400, 413)."""
        document_id = checked_id(document.get("id"))
        if_lsn = None if if_match in {None, "*"} else lsn_of(str(if_match))
        if verb is Verb.DELETE:
            return PreparedWrite(Write(verb, document_id, if_lsn=if_lsn))
        self._check_partition(partition, document)
        text = self._form.text(document)
        body = document.get("body")
        columns = columns_of(body if isinstance(body, dict) else {})
        write = Write(verb, document_id, text, if_lsn, self._form.ttl_s(document), *columns)
        return PreparedWrite(write, self._unique.values(document))

    def _check_partition(self, partition: str, document: Mapping[str, Any]) -> None:
        own = own_partition(document, self._container.paths)
        if own != partition:
            raise bad_request(
                "PartitionKey extracted from document doesn't match the one specified in the"
                f" header: {own.split(SEPARATOR)} and {partition.split(SEPARATOR)}",
                substatus=1001,
            )


def failed_results(count: int, index: int, result: OperationResult) -> list[OperationResult]:
    """Return the results of a failed batch: 424 for all operations but the one that failed."""
    return [result if number == index else OperationResult(424) for number in range(count)]


def _reason(status: int, write: Write) -> str:
    reasons: Mapping[int, Callable[[str], str]] = {
        404: lambda name: f"there is no document {name!r} here",
        409: lambda name: f"Entity with the specified id already exists in the system: {name!r}",
        412: lambda name: f"document {name!r} has another etag by now",
    }
    return reasons[status](write.id[:80])
