"""Serves the embedded account on a port of its own, to SDKs that speak Cosmos DB's REST protocol.

What clients send was taken from the official Python SDK (azure-cosmos 4.17) and the public REST
reference, https://learn.microsoft.com/rest/api/cosmos-db/. Throughput, stored procedures, patch,
continue-on-error batches, Entra tokens and the all-versions change feed are not served.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from local_cloud.cosmos_endpoint.account import KEY_RANGES, Account, Container
from local_cloud.cosmos_endpoint.authentication import MasterKey
from local_cloud.cosmos_endpoint.documents import (
    BATCH_MAX_BYTES,
    Documents,
    Outcome,
    Span,
    failed_outcomes,
    partition_of,
)
from local_cloud.cosmos_endpoint.faults import Fault, Faults, Kind, Moment
from local_cloud.cosmos_endpoint.query_engine import page_of
from local_cloud.cosmos_endpoint.query_parser import SqlRefused, parse
from local_cloud.cosmos_endpoint.wire import Refusal, Target, target_of
from local_cloud.storage import LocalStorage
from shared.persistence.sqlite_rows import Verb

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1000
_RANGES_ETAG: Final = '"ranges-1"'


class CosmosEndpoint:
    """The account on `http://<host>:<port>/`; `faults` strike what a test wants struck."""

    def __init__(self, storage: LocalStorage, port: int, key: str, host: str = "127.0.0.1") -> None:
        """*port* 0 takes a free one. Raises ValueError when *key* is not base64."""
        self.faults = Faults()
        self._account = Account(storage)
        self._key = MasterKey(key)
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
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and let what runs finish for a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        target = target_of(request.rel_url.raw_path)
        try:
            self._key.check(
                request.method,
                target,
                request.headers.get("x-ms-date", ""),
                request.headers.get("authorization", ""),
            )
            response = await self._dispatch(request, target)
        except Refusal as refusal:
            response = _json(
                {"code": refusal.code, "message": refusal.message},
                refusal.status,
                {"x-ms-substatus": str(refusal.substatus), **refusal.headers},
            )
        except _Cut:
            if request.transport is not None:
                request.transport.abort()
            response = web.Response()
        except SqlRefused as problem:
            response = _json({"code": "BadRequest", "message": str(problem)}, 400)
        own_id = UUID(int=next(self._requests))
        response.headers["x-ms-activity-id"] = request.headers.get("x-ms-activity-id", str(own_id))
        response.headers["x-ms-request-charge"] = "1"
        response.headers["x-ms-version"] = "2020-07-15"
        return response

    async def _dispatch(self, request: web.Request, target: Target) -> web.Response:
        key = (request.method, target.shape)
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
            raise Refusal(
                405, "MethodNotAllowed", f"{request.method} {target.shape or '/'} is not served"
            )
        if "docs" not in target.names and "docs" not in target.segments:
            self.faults.strike(Kind.METADATA)
        return await handlers[key](request, target)

    async def _show_account(self, request: web.Request, _: Target) -> web.Response:
        here = [{"name": "Local", "databaseAccountEndpoint": f"http://{request.host}/"}]
        return _json(
            {
                "id": "local", "_rid": "local", "_self": "", "_dbs": "//dbs/", "media": "//media/",
                "writableLocations": here, "readableLocations": here,
                "enableMultipleWriteLocations": False,
                "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
                "queryEngineConfiguration": "{}",
            }
        )  # fmt: skip

    async def _list_databases(self, _: web.Request, _target: Target) -> web.Response:
        databases = self._account.databases()
        return _json({"_rid": "", "Databases": databases, "_count": len(databases)})

    async def _create_database(self, request: web.Request, _: Target) -> web.Response:
        return _json(self._account.create_database((await _object(request)).get("id")), 201)

    async def _show_database(self, _: web.Request, target: Target) -> web.Response:
        return _json(self._account.database(target.names["dbs"]))

    async def _list_containers(self, _: web.Request, target: Target) -> web.Response:
        shown = [one.shown() for one in self._account.containers(target.segments[1])]
        return _json({"_rid": "", "DocumentCollections": shown, "_count": len(shown)})

    async def _create_container(self, request: web.Request, target: Target) -> web.Response:
        body = await _object(request)
        container = await self._account.create_container(target.segments[1], body)
        return _json(container.shown(), 201, _place(container))

    async def _show_container(self, _: web.Request, target: Target) -> web.Response:
        container = self._container(target)
        return _json(container.shown(), 200, _place(container))

    async def _show_key_ranges(self, request: web.Request, target: Target) -> web.Response:
        container = self._container(target)
        if request.headers.get("if-none-match") == _RANGES_ETAG:
            return web.Response(status=304, headers={"etag": _RANGES_ETAG})
        body = {"_rid": container.rid, "PartitionKeyRanges": KEY_RANGES, "_count": len(KEY_RANGES)}
        return _json(body, 200, {"etag": _RANGES_ETAG})

    async def _no_offers(self, _: web.Request, _target: Target) -> web.Response:
        return _json({"_rid": "", "Offers": [], "_count": 0})

    async def _post_documents(self, request: web.Request, target: Target) -> web.Response:
        if _is_set(request, "x-ms-documentdb-isquery"):
            return await self._query(request, target)
        if _is_set(request, "x-ms-cosmos-is-query-plan-request"):
            raise Refusal(400, "BadRequest", "queries are answered directly, without a plan")
        if _is_set(request, "x-ms-cosmos-is-batch-request"):
            return await self._batch(request, target)
        verb = Verb.UPSERT if _is_set(request, "x-ms-documentdb-is-upsert") else Verb.CREATE
        return await self._write(request, target, verb, await _object(request))

    async def _replace_document(self, request: web.Request, target: Target) -> web.Response:
        document = await _object(request)
        if document.get("id") != target.names["docs"]:
            raise Refusal(400, "BadRequest", "the document's id is not the path's")
        return await self._write(request, target, Verb.REPLACE, document)

    async def _delete_document(self, request: web.Request, target: Target) -> web.Response:
        return await self._write(request, target, Verb.DELETE, {"id": target.names["docs"]})

    async def _write(
        self, request: web.Request, target: Target, verb: Verb, document: Mapping[str, Any]
    ) -> web.Response:
        container, documents = self._documents(target)
        fault = self.faults.strike(Kind.WRITE)
        _cut(fault, Moment.CUT_BEFORE)
        if_match = request.headers.get("if-match")
        outcome = await documents.write(_partition(request, container), verb, document, if_match)
        _cut(fault, Moment.CUT_AFTER)
        headers = _session(container, documents)
        if outcome.document is None:
            return web.Response(status=outcome.status, headers=headers)
        headers["etag"] = str(outcome.document["_etag"])
        if request.headers.get("prefer") == "return=minimal":
            return web.Response(status=outcome.status, headers=headers)
        return _json(outcome.document, outcome.status, headers)

    async def _read_document(self, request: web.Request, target: Target) -> web.Response:
        container, documents = self._documents(target)
        self.faults.strike(Kind.READ)
        document = documents.read(_partition(request, container), target.names["docs"])
        headers = {**_session(container, documents), "etag": document["_etag"]}
        if request.headers.get("if-none-match") == document["_etag"]:
            return web.Response(status=304, headers=headers)
        return _json(document, 200, headers)

    async def _batch(self, request: web.Request, target: Target) -> web.Response:
        container, documents = self._documents(target)
        fault = self.faults.strike(Kind.BATCH)
        _cut(fault, Moment.CUT_BEFORE)
        if not _is_set(request, "x-ms-cosmos-batch-atomic"):
            raise Refusal(400, "BadRequest", "only atomic batches are served")
        text = await request.read()
        if len(text) > BATCH_MAX_BYTES:
            raise Refusal(413, "RequestEntityTooLarge", f"a batch has at most {BATCH_MAX_BYTES} B")
        operations = _parsed(text)
        if not isinstance(operations, list):
            raise Refusal(400, "BadRequest", "a batch is a list of operations")
        if fault is not None and fault.moment is Moment.INSIDE:
            outcomes = failed_outcomes(len(operations), len(operations) - 1, fault.status)
            return _json([_shown(one, fault) for one in outcomes], 207)
        done, outcomes = await documents.batch(_partition(request, container), operations)
        _cut(fault, Moment.CUT_AFTER)
        shown = [_shown(one) for one in outcomes]
        return _json(shown, 200 if done else 207, _session(container, documents))

    async def _query(self, request: web.Request, target: Target) -> web.Response:
        container, documents = self._documents(target)
        self.faults.strike(Kind.QUERY)
        body = await _object(request)
        parameters = {one["name"]: one.get("value") for one in body.get("parameters") or ()}
        select = parse(str(body.get("query", "")), parameters)
        span = _span(request, container)
        continuation = request.headers.get("x-ms-continuation") or None
        found, more = page_of(select, documents.within(span), _page_size(request), continuation)
        headers = _session(container, documents)
        if more is not None:
            headers["x-ms-continuation"] = more
        return _json(
            {"_rid": container.rid, "Documents": found, "_count": len(found)}, 200, headers
        )

    async def _read_feed(self, request: web.Request, target: Target) -> web.Response:
        container, documents = self._documents(target)
        span, size = _span(request, container), _page_size(request)
        if request.headers.get("a-im", "").lower() != "incremental feed":
            self.faults.strike(Kind.QUERY)
            continuation = request.headers.get("x-ms-continuation") or None
            everything = parse("SELECT * FROM c", {})
            found, more = page_of(everything, documents.within(span), size, continuation)
            headers = {} if more is None else {"x-ms-continuation": more}
            body = {"_rid": container.rid, "Documents": found, "_count": len(found)}
            return _json(body, 200, {**_session(container, documents), **headers})
        self.faults.strike(Kind.FEED)
        after = _feed_place(request, documents)
        changed, end = documents.changed(span, after, size)
        headers = {**_session(container, documents), "etag": f'"{end}"'}
        if not changed:
            return web.Response(status=304, headers=headers)
        body = {"_rid": container.rid, "Documents": changed, "_count": len(changed)}
        return _json(body, 200, headers)

    def _container(self, target: Target) -> Container:
        return self._account.container(target.segments[1], target.segments[3])

    def _documents(self, target: Target) -> tuple[Container, Documents]:
        container = self._container(target)
        return container, Documents(container)


class _Cut(Exception):
    """The connection is to break here, by a fault."""


Handler = Callable[[web.Request, Target], Awaitable[web.Response]]


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise Refusal(400, "BadRequest", f"the body is not JSON: {problem}") from problem


async def _object(request: web.Request) -> dict[str, Any]:
    body = _parsed(await request.read())
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "the body must be a JSON object")
    return body


def _is_set(request: web.Request, header: str) -> bool:
    return request.headers.get(header, "").lower() == "true"


def _page_size(request: web.Request) -> int:
    size = int(request.headers.get("x-ms-max-item-count") or PAGE_SIZE)
    return PAGE_SIZE if size < 1 else min(size, PAGE_SIZE_MAX)


def _values(request: web.Request) -> list[Any] | None:
    header = request.headers.get("x-ms-documentdb-partitionkey")
    if not header:
        return None
    values = _parsed(header.encode())
    if not isinstance(values, list):
        raise Refusal(400, "BadRequest", f"a partition key is a JSON list, got {header!r}")
    return values


def _partition(request: web.Request, container: Container) -> str:
    """Return the stored key of the whole partition key in the header."""
    values = _values(request)
    if values is None or len(values) != len(container.paths):
        raise Refusal(
            400,
            "BadRequest",
            f"expected a partition key of {len(container.paths)} values, got {values}",
            substatus=1001,
        )
    return partition_of(values)


def _span(request: web.Request, container: Container) -> Span:
    values = _values(request)
    range_id = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
    if range_id is not None and range_id not in {str(one["id"]) for one in KEY_RANGES}:
        raise Refusal(410, "Gone", f"there is no key range {range_id!r}", substatus=1002)
    return Span(
        partition_of(values) if values and len(values) == len(container.paths) else None,
        None if range_id is None else int(range_id),
        request.headers.get("x-ms-start-epk", ""),
        request.headers.get("x-ms-end-epk", "FF"),
    )


def _feed_place(request: web.Request, documents: Documents) -> int:
    """Return the lsn after which the feed goes on."""
    place = request.headers.get("if-none-match", "").strip('"')
    if place == "*":
        return documents.last_lsn
    if "if-modified-since" in request.headers and not place:
        raise Refusal(400, "BadRequest", "a change feed from a date on is not served")
    if place and not place.isdigit():
        raise Refusal(400, "BadRequest", f"not a continuation of a feed: {place[:80]!r}")
    return int(place or 0)


def _place(container: Container) -> dict[str, str]:
    return {"x-ms-alt-content-path": container.link, "x-ms-content-path": container.rid}


def _session(container: Container, documents: Documents) -> dict[str, str]:
    lsn = documents.last_lsn
    return {**_place(container), "x-ms-session-token": f"0:-1#{lsn},1:-1#{lsn}"}


def _shown(outcome: Outcome, fault: Fault | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"statusCode": outcome.status, "requestCharge": 1}
    if outcome.document is not None:
        shown |= {"eTag": outcome.document["_etag"], "resourceBody": outcome.document}
    if fault is not None and outcome.status == fault.status:
        shown["retryAfterMilliseconds"] = fault.retry_after_ms
    return shown


def _cut(fault: Fault | None, moment: Moment) -> None:
    """Break the connection when *fault* says so: the client gets no answer."""
    if fault is not None and fault.moment is moment:
        raise _Cut
