"""The Store port over Cosmos DB (NoSQL API) by the official asynchronous SDK.

Documents have the form of `cosmos_form`. A batch is posted once: after a cut connection the SDK
would post it again (azure-core takes a connection that the server closed for one that was never
made), so its connection retries are off for batches and the lost answer surfaces as AnswerLost.
Accounts with several write regions may still repeat it elsewhere; that is harmless, because a batch
that creates its own marker or replaces by etag is refused the second time (409, 412) and the write
path then finds its marker.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_errors import translated_errors
from shared.persistence.cosmos_feed import feed_ranges, next_page, read_changes
from shared.persistence.cosmos_form import (
    checked_ids,
    document_of,
    documents_of,
    encoded_batch,
    raw_of,
    stored_id,
)
from shared.persistence.cosmos_query import translated
from shared.persistence.effective_key import partition_text
from shared.persistence.query_rules import (
    DUE_MAX,
    PAGE_MAX_BYTES,
    checked_query,
)
from shared.persistence.store import (
    BatchOperation,
    ChangePage,
    Create,
    Delete,
    Document,
    Etag,
    Page,
    Partition,
    Prefix,
    Query,
    Replace,
)

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_POSTED_ONCE: Final[Mapping[str, Any]] = {"retry_connect": 0, "retry_read": 0}


class CosmosStore:
    """One container with the key `[/tenantId, /environmentKey, /unit]` and TTL switched on."""

    def __init__(self, account: CosmosAccount, database: str, container: str) -> None:
        self._account = account
        self._names = (database, container)

    async def read(self, partition: Partition, document_id: str) -> Document | None:
        from azure.cosmos.exceptions import CosmosResourceNotFoundError  # noqa: PLC0415  heavy

        stored, key = stored_id(document_id), _key(partition)
        async with self._container() as container:
            try:
                return document_of(await container.read_item(stored, key))
            except CosmosResourceNotFoundError as absent:
                if absent.sub_status:  # the container itself is not there
                    raise
                return None

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Mapping[str, Document]:
        if not checked_ids(ids):
            return {}
        parameters: list[dict[str, object]] = [
            {"name": f"@id{index}", "value": stored_id(document_id)}
            for index, document_id in enumerate(ids)
        ]
        names = ", ".join(str(parameter["name"]) for parameter in parameters)
        async with self._container() as container:
            items = container.query_items(
                f"SELECT * FROM c WHERE c.id IN ({names})",  # noqa: S608  names of parameters
                parameters=parameters,
                partition_key=_key(partition),
            )
            documents = [document_of(raw) async for raw in items]
        return {document.id: document for document in documents}

    async def query(self, within: Partition | Prefix, query: Query) -> Page:
        text, parameters = translated(checked_query(query))
        key = _key(within)
        async with self._container(query.continuation) as container:
            items = container.query_items(
                text, parameters=parameters, partition_key=key, max_item_count=query.limit
            )
            pager: Any = items.by_page(query.continuation)
            documents, unreadable = documents_of(await next_page(pager))
            # Read before anything else is awaited: the SDK keeps it on the shared client.
            continuation = pager.continuation_token or None
            return Page(documents, continuation, continuation is not None, unreadable)

    async def query_due(self, query: Query) -> Page:
        limit = min(checked_query(query).limit, DUE_MAX)
        text, parameters = translated(query, top=limit)
        raws: list[Mapping[str, Any]] = []
        size = 0
        async with self._container() as container:
            async for raw in container.query_items(text, parameters=parameters):
                size += len(to_json(raw))
                if raws and size > PAGE_MAX_BYTES:
                    break
                raws.append(raw)
        documents, unreadable = documents_of(raws)
        return Page(documents, None, len(raws) == limit or size > PAGE_MAX_BYTES, unreadable)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        texts = encoded_batch(operations)
        sent = [
            _sent(partition, operation, text)
            for operation, text in zip(operations, texts, strict=True)
        ]
        key = _key(partition)
        async with self._container() as container:
            """Connected: from here on a batch may take effect."""
        async with translated_errors(batch=operations, within_s=self._account.within_s):
            results = await container.execute_item_batch(sent, key, **_POSTED_ONCE)
        return [
            None if isinstance(operation, Delete) else Etag(result["eTag"])
            for operation, result in zip(operations, results, strict=True)
        ]

    async def feed_ranges(self) -> Sequence[str]:
        async with self._container() as container:
            return await feed_ranges(container)

    async def changes(
        self, feed_range: str, continuation: str | None, *, limit: int = 100
    ) -> ChangePage:
        async with self._container(continuation) as container:
            raws, behind = await read_changes(container, feed_range, continuation, limit)
            documents, unreadable = documents_of(raws)
            return ChangePage(documents, behind, unreadable)

    @asynccontextmanager
    async def _container(self, continuation: str | None = None) -> "AsyncIterator[ContainerProxy]":
        async with translated_errors(continuation, within_s=self._account.within_s):
            yield await self._account.container(*self._names)


def _sent(partition: Partition, operation: BatchOperation, text: bytes) -> tuple[Any, ...]:
    """Return *operation*, whose body is the JSON *text*, as the SDK's batch takes it."""
    stored = stored_id(operation.id)
    if isinstance(operation, Delete):
        condition = {} if operation.if_match is None else {"if_match_etag": operation.if_match}
        return ("delete", (stored,), condition)
    raw = raw_of(partition, operation.id, json.loads(text), operation.ttl_s)
    match operation:
        case Create():
            return ("create", (raw,), {})
        case Replace():
            return ("replace", (stored, raw), {"if_match_etag": operation.if_match})
        case _:
            return ("upsert", (raw,), {})


def _key(within: Partition | Prefix) -> list[Any]:
    partition_text(within.values)
    return list(within.values)
