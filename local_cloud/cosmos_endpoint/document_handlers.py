"""Answers requests about the documents of a container."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local_cloud.cosmos_endpoint.account import Account, Container
from local_cloud.cosmos_endpoint.batches import (
    BATCH_MAX_BYTES,
    checked_operations,
    run_batch,
    run_bulk,
)
from local_cloud.cosmos_endpoint.document_rules import checked_id
from local_cloud.cosmos_endpoint.documents import (
    FAILED,
    Documents,
    OperationResult,
    PreparedPatch,
    failed_results,
)
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.faults import ConnectionCut, Fault, FaultKind, FaultMoment, Faults
from local_cloud.cosmos_endpoint.feeds import Feeds
from local_cloud.cosmos_endpoint.http_messages import (
    PLAN_HEADER,
    asked_query,
    batch_result,
    batch_results,
    check_container,
    feed_lsn,
    is_query,
    is_set,
    json_object,
    json_response,
    page_size,
    parsed_json,
    partition_key,
    partition_range,
    refuse_triggers,
    session_headers,
    wants_minimal,
)
from local_cloud.cosmos_endpoint.partition_ranges import PartitionRange
from local_cloud.cosmos_endpoint.patch import patch_of
from local_cloud.cosmos_endpoint.queries import everything, queried
from local_cloud.cosmos_endpoint.query.pages import QueryPage
from local_cloud.cosmos_endpoint.query.plan import plan_of
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress
from local_cloud.sqlite.rows import Verb


class DocumentHandlers:
    """One method for each route of documents; *faults* are those that a test injects."""

    def __init__(self, account: Account, faults: Faults) -> None:
        self._account = account
        self._faults = faults

    async def post(self, request: web.Request, address: ResourceAddress) -> web.Response:
        if is_set(request.headers, PLAN_HEADER):
            return await self._plan(request, address)
        if is_query(request.headers):
            return await self._query(request, address)
        if is_set(request.headers, "x-ms-cosmos-is-batch-request"):
            return await self._batch(request, address)
        verb = Verb.UPSERT if is_set(request.headers, "x-ms-documentdb-is-upsert") else Verb.CREATE
        return await self._write(request, address, verb, await json_object(request))

    async def replace(self, request: web.Request, address: ResourceAddress) -> web.Response:
        document = await json_object(request)
        if document.get("id") != address.names["docs"]:
            raise bad_request("the document's id is not the path's")
        return await self._write(request, address, Verb.REPLACE, document)

    async def delete(self, request: web.Request, address: ResourceAddress) -> web.Response:
        return await self._write(request, address, Verb.DELETE, {"id": address.names["docs"]})

    async def patch(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(request, address)
        fault = self._next_write(request)
        patch = patch_of(parsed_json(await request.read()), container.paths)
        operation = PreparedPatch(
            checked_id(address.names["docs"]), patch, request.headers.get("if-match")
        )
        partition = partition_key(request, container)
        outcome = await Documents(container).run(partition, operation)
        return self._written(request, container, partition, outcome, fault)

    async def read(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(request, address)
        self._faults.next_fault(FaultKind.READ)
        partition = partition_key(request, container)
        document = Documents(container).read(partition, address.names["docs"])
        headers = {**_session(container, partition), "etag": document["_etag"]}
        if request.headers.get("if-none-match") in {document["_etag"], "*"}:
            return web.Response(status=304, headers=headers)
        return json_response(document, 200, headers)

    async def run_operation(self, request: web.Request, address: ResourceAddress) -> web.Response:
        """Delete all documents of a partition, the one operation that there is."""
        container = self._container(request, address)
        if address.names["operations"] != "partitionkeydelete":
            raise bad_request(
                f"the operation {address.names['operations'][:80]} is not served here"
            )
        partition = partition_key(request, container)
        await Documents(container).delete_all(partition)
        return web.Response(status=200, headers=_session(container, partition))

    async def read_feed(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(request, address)
        partitions, size = partition_range(request, container), page_size(request)
        mode = request.headers.get("a-im", "").lower()
        if mode == "incremental feed":
            return self._changes(request, container, partitions, size)
        if mode:
            raise bad_request(f"a change feed of mode {mode[:40]!r} is not served here")
        self._faults.next_fault(FaultKind.QUERY)
        continuation = request.headers.get("x-ms-continuation") or None
        page = await everything(container, partitions, size, continuation)
        return _page(container, partitions, page)

    async def _write(
        self,
        request: web.Request,
        address: ResourceAddress,
        verb: Verb,
        document: Mapping[str, Any],
    ) -> web.Response:
        container = self._container(request, address)
        fault = self._next_write(request)
        if_match = request.headers.get("if-match")
        partition = partition_key(request, container)
        outcome = await Documents(container).write(partition, verb, document, if_match)
        return self._written(request, container, partition, outcome, fault)

    def _next_write(self, request: web.Request) -> Fault | None:
        refuse_triggers(request)
        fault = self._faults.next_fault(FaultKind.WRITE)
        _cut(fault, FaultMoment.CUT_BEFORE)
        return fault

    def _written(
        self,
        request: web.Request,
        container: Container,
        partition: str,
        outcome: OperationResult,
        fault: Fault | None,
    ) -> web.Response:
        _cut(fault, FaultMoment.CUT_AFTER)
        headers = _session(container, partition)
        if outcome.document is None:
            return web.Response(status=outcome.status, headers=headers)
        headers["etag"] = str(outcome.document["_etag"])
        if wants_minimal(request):
            return web.Response(status=outcome.status, headers=headers)
        return json_response(outcome.document, outcome.status, headers)

    async def _batch(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(request, address)
        fault = self._faults.next_fault(FaultKind.BATCH)
        _cut(fault, FaultMoment.CUT_BEFORE)
        text = await request.read()
        if len(text) > BATCH_MAX_BYTES:
            raise CosmosError(
                413, "RequestEntityTooLarge", f"a batch has at most {BATCH_MAX_BYTES} B"
            )
        asked = checked_operations(parsed_json(text))
        if fault is not None and fault.moment is FaultMoment.INSIDE:
            failed = OperationResult(fault.status)
            results = failed_results(len(asked), len(asked) - 1, failed)
            return json_response([batch_result(result, fault) for result in results], 207)
        if is_set(request.headers, "x-ms-cosmos-batch-atomic"):
            partition = partition_key(request, container)
            done, results = await run_batch(container, partition, asked)
            partitions = PartitionRange(partition)
        else:
            goes_on = is_set(request.headers, "x-ms-cosmos-batch-continue-on-error")
            partitions = partition_range(request, container)
            results = await run_bulk(container, asked, goes_on=goes_on)
            done = all(result.status < FAILED for result in results)
        _cut(fault, FaultMoment.CUT_AFTER)
        headers = session_headers(container, Feeds(container), partitions)
        shown = batch_results(asked, results, minimal=wants_minimal(request))
        return json_response(shown, 200 if done else 207, headers)

    async def _query(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(request, address)
        self._faults.next_fault(FaultKind.QUERY)
        text, parameters = await asked_query(request)
        partitions = partition_range(request, container)
        continuation = request.headers.get("x-ms-continuation") or None
        page = await queried(
            container, text, parameters, partitions, page_size(request), continuation
        )
        answer = _page(container, partitions, page)
        if is_set(request.headers, "x-ms-documentdb-populatequerymetrics"):
            answer.headers["x-ms-documentdb-query-metrics"] = page.cost.text(page.rows)
        return answer

    async def _plan(self, request: web.Request, address: ResourceAddress) -> web.Response:
        self._container(request, address)
        text, parameters = await asked_query(request)
        asked = request.headers.get("x-ms-cosmos-supported-query-features", "")
        features = {name.strip() for name in asked.split(",")}
        return json_response(plan_of(text, parameters, features))

    def _changes(
        self, request: web.Request, container: Container, partitions: PartitionRange, size: int
    ) -> web.Response:
        self._faults.next_fault(FaultKind.FEED)
        feeds = Feeds(container)
        changed, end = feeds.changed(partitions, feed_lsn(request, feeds), size)
        headers = {**session_headers(container, feeds, partitions), "etag": f'"{end}"'}
        if not changed:
            return web.Response(status=304, headers=headers)
        headers["x-ms-item-count"] = str(len(changed))
        body = {"_rid": container.rid, "Documents": changed, "_count": len(changed)}
        return json_response(body, 200, headers)

    def _container(self, request: web.Request, address: ResourceAddress) -> Container:
        container = self._account.container(address.segments[1], address.segments[3])
        check_container(request, container)
        return container


def _session(container: Container, partition: str) -> dict[str, str]:
    return session_headers(container, Feeds(container), PartitionRange(partition))


def _page(container: Container, partitions: PartitionRange, page: QueryPage) -> web.Response:
    headers = session_headers(container, Feeds(container), partitions)
    headers["x-ms-item-count"] = str(len(page.rows))
    if page.continuation is not None:
        headers["x-ms-continuation"] = page.continuation
    body = {"_rid": container.rid, "Documents": page.rows, "_count": len(page.rows)}
    return json_response(body, 200, headers)


def _cut(fault: Fault | None, moment: FaultMoment) -> None:
    """Break the connection when *fault* says so: the client gets no answer."""
    if fault is not None and fault.moment is moment:
        raise ConnectionCut
