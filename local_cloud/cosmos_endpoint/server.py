"""Serves the embedded account on a port of its own, to SDKs that speak Cosmos DB's REST protocol.

What clients send was taken from the official SDKs (Python's azure-cosmos 4.17, JavaScript's
@azure/cosmos 4.9, Java's azure-cosmos 4.68) and the public REST reference,
https://learn.microsoft.com/rest/api/cosmos-db/. README.md lists what is served; the rest is a 400.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Final
from uuid import UUID

from aiohttp import web

from local_cloud.callers import Callers
from local_cloud.cosmos_endpoint.account import Account
from local_cloud.cosmos_endpoint.authentication import MasterKey
from local_cloud.cosmos_endpoint.authorization import AccountAuthorization
from local_cloud.cosmos_endpoint.batches import BATCH_MAX_BYTES
from local_cloud.cosmos_endpoint.document_handlers import DocumentHandlers
from local_cloud.cosmos_endpoint.errors import CosmosError, bad_request
from local_cloud.cosmos_endpoint.faults import ConnectionCut, FaultKind, Faults
from local_cloud.cosmos_endpoint.http_messages import json_response
from local_cloud.cosmos_endpoint.query.errors import SqlRefused
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress, address_of
from local_cloud.cosmos_endpoint.resource_handlers import ResourceHandlers
from local_cloud.http_runner import HttpRunner
from local_cloud.storage import LocalStorage
from shared.kernel.errors import Unavailable

REQUEST_MAX_BYTES: Final = 4 * BATCH_MAX_BYTES

Handler = Callable[[web.Request, ResourceAddress], Awaitable[web.Response]]


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
        self._account = account = Account(storage)
        self._handlers = _handlers(
            ResourceHandlers(account), DocumentHandlers(account, self.faults)
        )
        self._authorization = AccountAuthorization(MasterKey(key), callers)
        self._requests = count(1)
        self._host = host
        self._port = port
        self._runner: HttpRunner | None = None

    @property
    def url(self) -> str:
        """Where clients connect; known after `start`."""
        return f"http://{self._host}:{self._port}/"

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=REQUEST_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = HttpRunner(app)
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
        activity = request.headers.get("x-ms-activity-id") or str(UUID(int=next(self._requests)))
        try:
            named = self._account.by_names(address)
            await self._authorization.check(request.method, address, request.headers, named)
            response = await self._dispatch(request, named)
        except CosmosError as error:
            response = _refusal(error, activity)
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            response = web.Response()
        except SqlRefused as problem:
            response = _refusal(bad_request(str(problem)), activity)
        except web.HTTPRequestEntityTooLarge:
            too_large = f"a request has at most {REQUEST_MAX_BYTES} bytes"
            response = _refusal(CosmosError(413, "RequestEntityTooLarge", too_large), activity)
        except RecursionError:
            response = _refusal(bad_request("the request or its result nests too deep"), activity)
        except Unavailable as away:
            response = _refusal(CosmosError(503, "ServiceUnavailable", away.message), activity)
        response.headers["x-ms-activity-id"] = activity
        response.headers["x-ms-request-charge"] = "1"
        response.headers["x-ms-version"] = "2020-07-15"
        return response

    async def _dispatch(self, request: web.Request, address: ResourceAddress) -> web.Response:
        handler = self._handlers.get((request.method, address.shape))
        if handler is None:
            raise bad_request(f"{request.method} {address.shape or '/'} is not served here")
        if "docs" not in address.names and "docs" not in address.segments:
            self.faults.next_fault(FaultKind.METADATA)
        return await handler(request, address)


def _refusal(error: CosmosError, activity: str) -> web.Response:
    return json_response(
        {"code": error.code, "message": f"{error.message}\r\nActivityId: {activity}"},
        error.status,
        {"x-ms-substatus": str(error.substatus), **error.headers},
    )


def _handlers(
    resources: ResourceHandlers, documents: DocumentHandlers
) -> Mapping[tuple[str, str], Handler]:
    return {
        ("GET", ""): resources.show_account,
        ("GET", "dbs"): resources.list_databases,
        ("POST", "dbs"): resources.post_databases,
        ("GET", "dbs/*"): resources.show_database,
        ("DELETE", "dbs/*"): resources.delete_database,
        ("GET", "dbs/*/colls"): resources.list_containers,
        ("POST", "dbs/*/colls"): resources.post_containers,
        ("GET", "dbs/*/colls/*"): resources.show_container,
        ("PUT", "dbs/*/colls/*"): resources.replace_container,
        ("DELETE", "dbs/*/colls/*"): resources.delete_container,
        ("GET", "dbs/*/colls/*/pkranges"): resources.show_key_ranges,
        ("GET", "offers"): resources.list_offers,
        ("POST", "offers"): resources.query_offers,
        ("GET", "offers/*"): resources.show_offer,
        ("PUT", "offers/*"): resources.replace_offer,
        ("POST", "dbs/*/colls/*/docs"): documents.post,
        ("POST", "dbs/*/colls/*/operations/*"): documents.run_operation,
        ("GET", "dbs/*/colls/*/docs"): documents.read_feed,
        ("GET", "dbs/*/colls/*/docs/*"): documents.read,
        ("PUT", "dbs/*/colls/*/docs/*"): documents.replace,
        ("PATCH", "dbs/*/colls/*/docs/*"): documents.patch,
        ("DELETE", "dbs/*/colls/*/docs/*"): documents.delete,
    }
