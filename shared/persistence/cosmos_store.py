"""The Store port over Cosmos DB (NoSQL API) by the official asynchronous SDK.

Documents have the form of `cosmos_form`. A batch is posted once: after a cut connection the SDK
would post it again (azure-core takes a connection that the server closed for one that was never
made), so its connection retries are off for batches and the lost answer surfaces as AnswerLost.
Accounts with several write regions may still repeat it elsewhere; that is harmless, because a batch
that creates its own marker or replaces by etag is refused the second time (409, 412) and the write
path then finds its marker.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.errors import Invalid, TooLarge, Unavailable
from shared.persistence.cosmos_form import (
    PARTITION_FIELDS,
    checked_ids,
    document_of,
    encoded_batch,
    raw_of,
    stored_id,
)
from shared.persistence.cosmos_query import translated
from shared.persistence.effective_key import partition_text
from shared.persistence.sqlite_query import page_limit
from shared.persistence.store import (
    AnswerLost,
    BatchOperation,
    BatchRefused,
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
    from azure.cosmos.aio import ContainerProxy, CosmosClient

DUE_MAX: Final = 100
THROTTLE_RETRIES: Final = 3
THROTTLE_WAIT_MAX_S: Final = 5
"""The SDK's own patience (9 tries, 30 s) is longer than a request of ours may take."""
TIMEOUT_S: Final = 10
_POSTED_ONCE: Final[Mapping[str, Any]] = {"retry_connect": 0, "retry_read": 0}
_REFUSED: Final = frozenset({404, 409, 412})
_AWAY: Final = frozenset({403, 408, 410, 429, 449, 500, 502, 503, 504})
"""403: a role assignment takes minutes to reach the data plane."""
_UNKNOWN_EFFECT: Final = frozenset({408, 500, 502, 504})


class CosmosAccount:
    """One account, connected when first used. Close it when the app ends."""

    def __init__(
        self, endpoint: str, *, key: str | None = None, identity: str | None = None
    ) -> None:
        """Without *key* a managed identity is used: the one with client id *identity*, if given."""
        self._endpoint = endpoint
        self._key = key
        self._identity = identity
        self._credential: Any = None
        self._client: CosmosClient | None = None
        self._connecting = asyncio.Lock()

    def store(self, database: str, container: str) -> "CosmosStore":
        """Return a container, which must exist; nothing is asked before its first use."""
        return CosmosStore(self, database, container)

    async def create(self, database: str, container: str) -> None:
        """Make the container if need be: with a key only, data-plane roles may not.

        Raises:
            Unavailable: throttled or away.
        """
        from azure.cosmos import PartitionKey  # noqa: PLC0415  heavy: where used

        paths = [f"/{name}" for name in PARTITION_FIELDS]
        async with _translated_errors():
            client = await self._connected()
            made = await client.create_database_if_not_exists(database)
            await made.create_container_if_not_exists(
                container, PartitionKey(path=paths, kind="MultiHash"), default_ttl=-1
            )

    async def container(self, database: str, container: str) -> "ContainerProxy":
        client = await self._connected()
        return client.get_database_client(database).get_container_client(container)

    async def _connected(self) -> "CosmosClient":
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> "CosmosClient":
        from azure.cosmos.aio import CosmosClient  # noqa: PLC0415  heavy: where used

        credential: Any = self._key
        if credential is None:
            from azure.identity.aio import ManagedIdentityCredential  # noqa: PLC0415  heavy

            credential = self._credential = ManagedIdentityCredential(client_id=self._identity)
        client = CosmosClient(
            self._endpoint,
            credential,
            connection_timeout=TIMEOUT_S,
            retry_throttle_total=THROTTLE_RETRIES,
            retry_throttle_backoff_max=THROTTLE_WAIT_MAX_S,
            no_response_on_write=True,
        )
        await client.__aenter__()
        return client

    async def close(self) -> None:
        """Close the connections; the account may not be used afterwards."""
        if self._client is not None:
            await self._client.close()
            self._client = None
        if self._credential is not None:
            await self._credential.close()


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
        stored = [stored_id(one) for one in checked_ids(ids)]
        if not stored:
            return {}
        parameters: list[dict[str, object]] = [
            {"name": f"@id{index}", "value": one} for index, one in enumerate(stored)
        ]
        names = ", ".join(str(parameter["name"]) for parameter in parameters)
        async with self._container() as container:
            found = container.query_items(
                f"SELECT * FROM c WHERE c.id IN ({names})",  # noqa: S608  names of parameters
                parameters=parameters,
                partition_key=_key(partition),
            )
            documents = [document_of(raw) async for raw in found]
        return {document.id: document for document in documents}

    async def query(self, within: Partition | Prefix, query: Query) -> Page:
        text, parameters = translated(query)
        key, limit = _key(within), page_limit(query)
        async with self._container() as container:
            found = container.query_items(
                text, parameters=parameters, partition_key=key, max_item_count=limit
            )
            pager: Any = found.by_page(query.continuation)
            documents = await _next_page(pager)
            # Read before anything else is awaited: the SDK keeps it on the shared client.
            return Page(tuple(documents), pager.continuation_token or None)

    async def query_due(self, query: Query) -> Page:
        limit = min(page_limit(query), DUE_MAX)
        text, parameters = translated(query, top=limit)
        async with self._container() as container:
            found = container.query_items(text, parameters=parameters)
            return Page(tuple([document_of(raw) async for raw in found][:limit]))

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        from azure.core.exceptions import (  # noqa: PLC0415  heavy
            ServiceRequestError,
            ServiceResponseError,
        )
        from azure.cosmos.exceptions import (  # noqa: PLC0415  heavy
            CosmosBatchOperationError,
            CosmosClientTimeoutError,
            CosmosHttpResponseError,
        )

        texts = encoded_batch(operations)
        sent = [
            _sent(partition, operation, text)
            for operation, text in zip(operations, texts, strict=True)
        ]
        key = _key(partition)
        async with self._container() as container:
            try:
                results = await container.execute_item_batch(sent, key, **_POSTED_ONCE)
            except CosmosBatchOperationError as failed:
                raise _refusal(failed, operations) from failed
            except (ServiceRequestError, ServiceResponseError, CosmosClientTimeoutError) as lost:
                if _never_connected(lost):
                    raise
                raise AnswerLost("the connection broke after a batch was sent") from lost
            except CosmosHttpResponseError as failed:
                if failed.status_code in _UNKNOWN_EFFECT:
                    raise AnswerLost(f"a batch ended with status {failed.status_code}") from failed
                if failed.status_code == 413:  # noqa: PLR2004
                    raise TooLarge("the batch is over Cosmos DB's own limit") from failed
                raise
        return [
            None if isinstance(operation, Delete) else Etag(result["eTag"])
            for operation, result in zip(operations, results, strict=True)
        ]

    async def feed_ranges(self) -> Sequence[str]:
        async with self._container() as container:
            return [json.dumps(one, sort_keys=True) async for one in container.read_feed_ranges()]

    async def changes(
        self, feed_range: str, continuation: str | None, *, limit: int = 100
    ) -> ChangePage:
        # One continuation for each feed range: the SDK cannot resume one of the whole container
        # that was saved before all ranges were visited ("Invalid composite token").
        async with self._container() as container:
            if continuation is None:
                found = container.query_items_change_feed(
                    feed_range=_range(feed_range), start_time="Beginning", max_item_count=limit
                )
            else:
                found = container.query_items_change_feed(
                    continuation=continuation, max_item_count=limit
                )
            documents = await _next_page(found.by_page())
            headers = container.client_connection.last_response_headers
            return ChangePage(tuple(documents), str(headers["etag"]))

    @asynccontextmanager
    async def _container(self) -> "AsyncIterator[ContainerProxy]":
        async with _translated_errors():
            yield await self._account.container(*self._names)


@asynccontextmanager
async def _translated_errors() -> AsyncIterator[None]:
    """Turn what the SDK raises for throttling and absence into Unavailable."""
    from azure.core.exceptions import (  # noqa: PLC0415  heavy
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.cosmos.exceptions import CosmosClientTimeoutError  # noqa: PLC0415  heavy

    try:
        yield
    except (ServiceRequestError, ServiceResponseError, CosmosClientTimeoutError) as away:
        raise Unavailable(f"Cosmos DB cannot be reached: {away}") from away
    except HttpResponseError as failed:
        if failed.status_code not in _AWAY:
            raise
        raise _unavailable(failed.status_code, getattr(failed, "headers", None)) from failed


def _never_connected(problem: Any) -> bool:
    from aiohttp import ClientConnectorError  # noqa: PLC0415  heavy: where used

    return isinstance(problem.inner_exception, ClientConnectorError)


def _unavailable(status: int | None, headers: Mapping[str, Any] | None) -> Unavailable:
    retry_after_ms = float((headers or {}).get("x-ms-retry-after-ms") or 1000)
    return Unavailable(
        f"Cosmos DB answered {status}",
        retry_after_s=retry_after_ms / 1000,
        throttled=status == 429,  # noqa: PLR2004
    )


def _refusal(failed: Any, operations: Sequence[BatchOperation]) -> BatchRefused | Unavailable:
    """Return what a failed operation of a batch means: nothing took effect."""
    status, index = int(failed.status_code), int(failed.error_index)
    if status in _REFUSED:
        return BatchRefused(status, index, operations[index].id)
    if status == 413:  # noqa: PLR2004
        raise TooLarge(f"operation {index} is over Cosmos DB's own limit") from failed
    if status not in _AWAY:
        raise failed
    responses = failed.operation_responses
    retry_after_ms = responses[index].get("retryAfterMilliseconds") if responses else None
    return _unavailable(status, {"x-ms-retry-after-ms": retry_after_ms})


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


def _range(name: str) -> dict[str, Any]:
    try:
        value = json.loads(name)
    except ValueError as problem:
        raise Invalid(f"not a feed range of this container: {name[:80]!r}") from problem
    if not isinstance(value, dict):
        raise Invalid(f"not a feed range of this container: {name[:80]!r}")
    return value


async def _next_page(pager: Any) -> list[Document]:
    try:
        page = await anext(pager)
    except StopAsyncIteration:
        return []
    return [document_of(raw) async for raw in page]
