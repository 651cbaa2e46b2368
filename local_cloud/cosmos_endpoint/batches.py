"""Batches: the operations of a request's body, atomic or one by one (bulk).

https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.document_rules import checked_id
from local_cloud.cosmos_endpoint.documents import (
    FAILED,
    Documents,
    Operation,
    OperationResult,
    PreparedPatch,
    PreparedRead,
)
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.partition_keys import key_values, partition_of, whole_key
from local_cloud.cosmos_endpoint.patch import patch_of
from local_cloud.sqlite.rows import Verb

BATCH_MAX_OPERATIONS: Final = 100
BATCH_MAX_BYTES: Final = 2 * 1024 * 1024
_VERBS: Final = {"Create": Verb.CREATE, "Upsert": Verb.UPSERT, "Replace": Verb.REPLACE,
                 "Delete": Verb.DELETE}  # fmt: skip


def checked_operations(body: object) -> Sequence[Mapping[str, Any]]:
    """Return the operations that *body* lists. Raises CosmosError (400)."""
    if not isinstance(body, list) or not all(isinstance(each, Mapping) for each in body):
        raise bad_request("a batch is a list of operations, each an object")
    if not 1 <= len(body) <= BATCH_MAX_OPERATIONS:
        raise bad_request(f"a batch has 1 to {BATCH_MAX_OPERATIONS} operations, got {len(body)}")
    return body


async def run_batch(
    container: Container, partition: str, asked: Sequence[Mapping[str, Any]]
) -> tuple[bool, list[OperationResult]]:
    """Do all of *asked* in one partition, or none. Raises CosmosError (400, 413)."""
    documents = Documents(container)
    operations = [_prepared(container, documents, partition, each) for each in asked]
    return await documents.batch(partition, operations)


async def run_bulk(
    container: Container, asked: Sequence[Mapping[str, Any]], *, goes_on: bool
) -> list[OperationResult]:
    """Do each of *asked* by itself; behind a failure only if it *goes_on*, else they are 424."""
    documents = Documents(container)
    results: list[OperationResult] = []
    for each in asked:
        if results and results[-1].status >= FAILED and not goes_on:
            results.append(OperationResult(424))
            continue
        try:
            partition = _own_partition(container, each.get("partitionKey"))
            operation = _prepared(container, documents, partition, each)
            results.append(await documents.tried(partition, operation))
        except CosmosError as error:
            results.append(OperationResult(error.status, message=error.message))
    return results


def _own_partition(container: Container, given: object) -> str:
    """Return the stored key in an operation of a bulk request, a list or its JSON text."""
    values = key_values(given) if isinstance(given, str) else given
    if not isinstance(values, list):
        raise bad_request("an operation of a bulk request has a partitionKey, a JSON list")
    return partition_of(whole_key(values, container.paths))


def _prepared(
    container: Container, documents: Documents, partition: str, asked: Mapping[str, Any]
) -> Operation:
    kind, body = asked.get("operationType"), asked.get("resourceBody")
    if_match = asked.get("ifMatch")
    match kind:
        case "Read":
            none_match = asked.get("ifNoneMatch")
            known = None if none_match is None else str(none_match)
            return PreparedRead(checked_id(asked.get("id")), known)
        case "Patch":
            patch = patch_of(body, container.paths)
            return PreparedPatch(
                checked_id(asked.get("id")), patch, None if if_match is None else str(if_match)
            )
        case str() if kind in _VERBS:
            document = {} if body is None else body
        case _:
            raise bad_request(f"batch operation {str(kind)[:80]!r} is not served here")
    if not isinstance(document, Mapping):
        raise bad_request(f"a document is an object, got {str(document)[:80]}")
    if kind in {"Replace", "Delete"} and "id" in asked:
        document = {**document, "id": asked["id"]}
    return documents.prepared(partition, _VERBS[kind], document, if_match)
