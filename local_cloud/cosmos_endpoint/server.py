"""Serves the embedded account on a port of its own, to SDKs that speak Cosmos DB's REST protocol.

What clients send was taken from the official Python SDK (azure-cosmos 4.17) and the public REST
reference, https://learn.microsoft.com/rest/api/cosmos-db/. Throughput, stored procedures, patch,
continue-on-error batches and the all-versions change feed are not served.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from local_cloud.callers import Callers
from local_cloud.cosmos_endpoint.account import KEY_RANGES, Account, Container
from local_cloud.cosmos_endpoint.authentication import MasterKey
from local_cloud.cosmos_endpoint.authorization import AccountAuthorization
from local_cloud.cosmos_endpoint.documents import (
    BATCH_MAX_BYTES,
    Documents,
    failed_results,
)
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.faults import Fault, FaultKind, FaultMoment, Faults
from local_cloud.cosmos_endpoint.http_messages import (
    batch_result,
    content_headers,
    feed_lsn,
    is_set,
    json_object,
    json_response,
    page_size,
    parsed_json,
    partition_key,
    partition_range,
    query_parameters,
    refuse_triggers,
    session_headers,
)
from local_cloud.cosmos_endpoint.query_engine import page_of
from local_cloud.cosmos_endpoint.query_parser import SqlRefused, parse
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress, address_of
from local_cloud.sqlite.rows import Verb
from local_cloud.storage import LocalStorage
from shared.kernel.errors import Unavailable

_RANGES_ETAG: Final = '"ranges-1"'


class CosmosEndpoint:
    """The account on `http://<host>:<port>/`; `faults` are those that a test injects."""

    def __init__(
        self,
        storage: LocalStorage,
        port: int,
        key: str,
        host: str = "127.0.0.1",
        *,
        callers: Callers | None = None,
    ) -> None:
        """*port* 0 takes a free one; *callers* are identities, taken beside the holder of *key*.

        Raises ValueError when *key* is not base64.
        """
        self.faults = Faults()
        self._account = Account(storage)
        self._authorization = AccountAuthorization(MasterKey(key), callers)
        self._requests = count(1)
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where clients connect; known after `start`."""
        return f"http://{self._host}:{self._port}/"

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=4 * BATCH_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._port = await self.listen(self._port)

    async def listen(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on one port more, by https with *tls*; return it. Raises OSError when taken."""
        assert self._runner is not None, "start comes first"
        before = len(self._runner.addresses)
        await web.TCPSite(self._runner, self._host, port, ssl_context=tls).start()
        return int(self._runner.addresses[before][1])

    async def stop(self) -> None:
        """Stop listening and let what runs finish for a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        address = address_of(request.rel_url.raw_path)
        try:
            await self._authorization.check(request.method, address, request.headers)
            response = await self._dispatch(request, address)
        except CosmosError as error:
            response = json_response(
                {"code": error.code, "message": error.message},
                error.status,
                {"x-ms-substatus": str(error.substatus), **error.headers},
            )
        except _ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            response = web.Response()
        except SqlRefused as problem:
            response = json_response({"code": "BadRequest", "message": str(problem)}, 400)
        except Unavailable as away:
            response = json_response({"code": "ServiceUnavailable", "message": away.message}, 503)
        own_id = UUID(int=next(self._requests))
        response.headers["x-ms-activity-id"] = request.headers.get("x-ms-activity-id", str(own_id))
        response.headers["x-ms-request-charge"] = "1"
        response.headers["x-ms-version"] = "2020-07-15"
        return response

    async def _dispatch(self, request: web.Request, address: ResourceAddress) -> web.Response:
        key = (request.method, address.shape)
        handlers: Mapping[tuple[str, str], Handler] = {
            ("GET", ""): self._show_account,
            ("GET", "dbs"): self._list_databases,
            ("POST", "dbs"): self._create_database,
            ("GET", "dbs/*"): self._show_database,
            ("GET", "dbs/*/colls"): self._list_containers,
            ("POST", "dbs/*/colls"): self._create_container,
            ("GET", "dbs/*/colls/*"): self._show_container,
            ("GET", "dbs/*/colls/*/pkranges"): self._show_key_ranges,
            ("POST", "offers"): self._no_offers,
            ("POST", "dbs/*/colls/*/docs"): self._post_documents,
            ("GET", "dbs/*/colls/*/docs"): self._read_feed,
            ("GET", "dbs/*/colls/*/docs/*"): self._read_document,
            ("PUT", "dbs/*/colls/*/docs/*"): self._replace_document,
            ("DELETE", "dbs/*/colls/*/docs/*"): self._delete_document,
        }
        if key not in handlers:
            raise CosmosError(
                405, "MethodNotAllowed", f"{request.method} {address.shape or '/'} is not served"
            )
        if "docs" not in address.names and "docs" not in address.segments:
            self.faults.next_fault(FaultKind.METADATA)
        return await handlers[key](request, address)

    async def _show_account(self, request: web.Request, _: ResourceAddress) -> web.Response:
        own = f"{request.scheme}://{request.host}/"
        here = [{"name": "Local", "databaseAccountEndpoint": own}]
        return json_response(
            {
                "id": "local", "_rid": "local", "_self": "", "_dbs": "//dbs/", "media": "//media/",
                "writableLocations": here, "readableLocations": here,
                "enableMultipleWriteLocations": False,
                "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
                "queryEngineConfiguration": "{}",
            }
        )  # fmt: skip

    async def _list_databases(self, _: web.Request, _target: ResourceAddress) -> web.Response:
        databases = self._account.databases()
        return json_response({"_rid": "", "Databases": databases, "_count": len(databases)})

    async def _create_database(self, request: web.Request, _: ResourceAddress) -> web.Response:
        return json_response(
            self._account.create_database((await json_object(request)).get("id")), 201
        )

    async def _show_database(self, _: web.Request, address: ResourceAddress) -> web.Response:
        return json_response(self._account.database(address.names["dbs"]))

    async def _list_containers(self, _: web.Request, address: ResourceAddress) -> web.Response:
        shown = [container.shown() for container in self._account.containers(address.segments[1])]
        return json_response({"_rid": "", "DocumentCollections": shown, "_count": len(shown)})

    async def _create_container(
        self, request: web.Request, address: ResourceAddress
    ) -> web.Response:
        body = await json_object(request)
        container = await self._account.create_container(address.segments[1], body)
        return json_response(container.shown(), 201, content_headers(container))

    async def _show_container(self, _: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(address)
        return json_response(container.shown(), 200, content_headers(container))

    async def _show_key_ranges(
        self, request: web.Request, address: ResourceAddress
    ) -> web.Response:
        container = self._container(address)
        if request.headers.get("if-none-match") == _RANGES_ETAG:
            return web.Response(status=304, headers={"etag": _RANGES_ETAG})
        body = {"_rid": container.rid, "PartitionKeyRanges": KEY_RANGES, "_count": len(KEY_RANGES)}
        return json_response(body, 200, {"etag": _RANGES_ETAG})

    async def _no_offers(self, _: web.Request, _target: ResourceAddress) -> web.Response:
        return json_response({"_rid": "", "Offers": [], "_count": 0})

    async def _post_documents(self, request: web.Request, address: ResourceAddress) -> web.Response:
        if is_set(request, "x-ms-documentdb-isquery"):
            return await self._query(request, address)
        if is_set(request, "x-ms-cosmos-is-query-plan-request"):
            raise bad_request("queries are answered directly, without a plan")
        if is_set(request, "x-ms-cosmos-is-batch-request"):
            return await self._batch(request, address)
        verb = Verb.UPSERT if is_set(request, "x-ms-documentdb-is-upsert") else Verb.CREATE
        return await self._write(request, address, verb, await json_object(request))

    async def _replace_document(
        self, request: web.Request, address: ResourceAddress
    ) -> web.Response:
        document = await json_object(request)
        if document.get("id") != address.names["docs"]:
            raise bad_request("the document's id is not the path's")
        return await self._write(request, address, Verb.REPLACE, document)

    async def _delete_document(
        self, request: web.Request, address: ResourceAddress
    ) -> web.Response:
        return await self._write(request, address, Verb.DELETE, {"id": address.names["docs"]})

    async def _write(
        self,
        request: web.Request,
        address: ResourceAddress,
        verb: Verb,
        document: Mapping[str, Any],
    ) -> web.Response:
        container, documents = self._documents(address)
        refuse_triggers(request)
        fault = self.faults.next_fault(FaultKind.WRITE)
        _cut(fault, FaultMoment.CUT_BEFORE)
        if_match = request.headers.get("if-match")
        outcome = await documents.write(partition_key(request, container), verb, document, if_match)
        _cut(fault, FaultMoment.CUT_AFTER)
        headers = session_headers(container, documents)
        if outcome.document is None:
            return web.Response(status=outcome.status, headers=headers)
        headers["etag"] = str(outcome.document["_etag"])
        if request.headers.get("prefer") == "return=minimal":
            return web.Response(status=outcome.status, headers=headers)
        return json_response(outcome.document, outcome.status, headers)

    async def _read_document(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container, documents = self._documents(address)
        self.faults.next_fault(FaultKind.READ)
        document = documents.read(partition_key(request, container), address.names["docs"])
        headers = {**session_headers(container, documents), "etag": document["_etag"]}
        if request.headers.get("if-none-match") == document["_etag"]:
            return web.Response(status=304, headers=headers)
        return json_response(document, 200, headers)

    async def _batch(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container, documents = self._documents(address)
        fault = self.faults.next_fault(FaultKind.BATCH)
        _cut(fault, FaultMoment.CUT_BEFORE)
        if not is_set(request, "x-ms-cosmos-batch-atomic"):
            raise bad_request("only atomic batches are served")
        text = await request.read()
        if len(text) > BATCH_MAX_BYTES:
            raise CosmosError(
                413, "RequestEntityTooLarge", f"a batch has at most {BATCH_MAX_BYTES} B"
            )
        operations = parsed_json(text)
        if not isinstance(operations, list):
            raise bad_request("a batch is a list of operations")
        if fault is not None and fault.moment is FaultMoment.INSIDE:
            results = failed_results(len(operations), len(operations) - 1, fault.status)
            return json_response([batch_result(result, fault) for result in results], 207)
        done, results = await documents.batch(partition_key(request, container), operations)
        _cut(fault, FaultMoment.CUT_AFTER)
        shown = [batch_result(result) for result in results]
        return json_response(shown, 200 if done else 207, session_headers(container, documents))

    async def _query(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container, documents = self._documents(address)
        self.faults.next_fault(FaultKind.QUERY)
        body = await json_object(request)
        parameters = query_parameters(body.get("parameters"))
        select = parse(str(body.get("query", "")), parameters)
        partitions = partition_range(request, container)
        continuation = request.headers.get("x-ms-continuation") or None
        page, more = page_of(select, documents.within(partitions), page_size(request), continuation)
        headers = session_headers(container, documents)
        if more is not None:
            headers["x-ms-continuation"] = more
        return json_response(
            {"_rid": container.rid, "Documents": page, "_count": len(page)}, 200, headers
        )

    async def _read_feed(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container, documents = self._documents(address)
        partitions, size = partition_range(request, container), page_size(request)
        if request.headers.get("a-im", "").lower() != "incremental feed":
            self.faults.next_fault(FaultKind.QUERY)
            continuation = request.headers.get("x-ms-continuation") or None
            everything = parse("SELECT * FROM c", {})
            page, more = page_of(everything, documents.within(partitions), size, continuation)
            headers = {} if more is None else {"x-ms-continuation": more}
            body = {"_rid": container.rid, "Documents": page, "_count": len(page)}
            return json_response(body, 200, {**session_headers(container, documents), **headers})
        self.faults.next_fault(FaultKind.FEED)
        after = feed_lsn(request, documents)
        changed, end = documents.changed(partitions, after, size)
        headers = {**session_headers(container, documents), "etag": f'"{end}"'}
        if not changed:
            return web.Response(status=304, headers=headers)
        body = {"_rid": container.rid, "Documents": changed, "_count": len(changed)}
        return json_response(body, 200, headers)

    def _container(self, address: ResourceAddress) -> Container:
        return self._account.container(address.segments[1], address.segments[3])

    def _documents(self, address: ResourceAddress) -> tuple[Container, Documents]:
        container = self._container(address)
        return container, Documents(container)


class _ConnectionCut(Exception):
    """An injected fault cuts the connection here."""


Handler = Callable[[web.Request, ResourceAddress], Awaitable[web.Response]]


def _cut(fault: Fault | None, moment: FaultMoment) -> None:
    """Break the connection when *fault* says so: the client gets no answer."""
    if fault is not None and fault.moment is moment:
        raise _ConnectionCut
