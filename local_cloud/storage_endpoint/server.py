"""One service of a storage account on a port: who asks is checked, then the service answers.

What clients send was taken from the official SDKs for Python (azure-data-tables 12.7,
azure-storage-blob 12.31), from Azurite 3.35 and from the public REST reference,
https://learn.microsoft.com/rest/api/storageservices/.
"""

import ssl
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, Protocol
from uuid import UUID

from aiohttp import web

from local_cloud.http_runner import HttpRunner
from local_cloud.storage_endpoint.authorization import Access, Authorization
from local_cloud.storage_endpoint.errors import StorageRefused, not_implemented, refusal_for
from local_cloud.storage_endpoint.requests import PIECE_WITHIN_S, Call, ServiceName
from local_cloud.storage_endpoint.shared_key import Scheme, SharedKey
from shared.kernel.errors import Refused, Unavailable

VERSION: Final = "2025-11-05"
"""Of the protocol; the one that a client names is not checked."""
CheckWrite = Callable[[str], Awaitable[None]]
"""Refuses a caller who may not write to the container or table of that name."""


class StorageService(Protocol):
    """The tables or the blobs of an account."""

    name: ServiceName

    async def answer(self, call: Call, check_write: CheckWrite) -> web.StreamResponse:
        """Do what *call* asks. Raises StorageRefused, Refused or Unavailable."""
        ...

    def error(self, refused: StorageRefused) -> web.Response:
        """Return *refused* in the form of this service."""
        ...


class StorageEndpoint:
    """*service* on `http://<host>:<port>/<account>`, or https where *tls* is given."""

    def __init__(
        self,
        service: StorageService,
        key: SharedKey,
        port: int,
        host: str = "127.0.0.1",
        *,
        authorization: Authorization | None = None,
        tls: ssl.SSLContext | None = None,
        piece_within_s: float = PIECE_WITHIN_S,
    ) -> None:
        """*port* 0 takes a free one. Without *authorization* no bearer token is taken.

        A body of which nothing comes for *piece_within_s* seconds is given up.
        """
        self._service = service
        self._key = key
        self._port = port
        self._host = host
        self._authorization = authorization
        self._tls = tls
        self._piece_within_s = piece_within_s
        self._requests = count(1)
        self._runner: HttpRunner | None = None

    @property
    def url(self) -> str:
        """Where clients connect; known after `start`.

        By its number: azure-data-tables takes a `localhost` for Cosmos DB's own tables.
        """
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self._host}:{self._port}/{self._key.account}"

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_response_prepare.append(self._mark)
        self._runner = HttpRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and let what runs finish for a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            name, account = self._service.name, self._key.account
            call = Call.of(name, account, request, self._piece_within_s)
            check_write = await self._write_check(call)
            return await self._service.answer(call, check_write)
        except StorageRefused as refused:
            return self._service.error(refused)
        except (Refused, Unavailable) as error:
            return self._service.error(refusal_for(error))

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-ms-request-id"] = str(UUID(int=next(self._requests)))
        response.headers["x-ms-version"] = VERSION
        if "x-ms-client-request-id" in request.headers:
            own = request.headers["x-ms-client-request-id"]
            response.headers["x-ms-client-request-id"] = own

    async def _write_check(self, call: Call) -> CheckWrite:
        """Check who sent *call* and return what checks the tables of a transaction.

        Raises:
            StorageRefused: the caller is unknown or may not do it.
        """
        scheme, _, proof = call.header("Authorization").partition(" ")
        if scheme in set(Scheme):
            self._key.check(call, Scheme(scheme), proof)
            return _anything
        if "sig" in call.query:
            raise not_implemented("shared access signatures")
        if scheme != "Bearer" or self._authorization is None:
            headers = {}
            if self._authorization is not None:
                headers["WWW-Authenticate"] = self._authorization.challenge
            raise StorageRefused(
                401,
                "NoAuthenticationInformation",
                "Server failed to authenticate the request. Please refer to the information in"
                " the www-authenticate header.",
                headers,
            )
        await self._check_token(call, _named_in(call), writes=call.method not in {"GET", "HEAD"})

        async def may_write(resource: str) -> None:
            await self._check_token(call, resource, writes=True)

        return may_write

    async def _check_token(self, call: Call, resource: str | None, *, writes: bool) -> None:
        assert self._authorization is not None
        try:
            access = Access(call.service, resource, writes)
            await self._authorization.check(call.header("Authorization"), access)
        except Refused as refused:
            answer = refusal_for(refused)
            if answer.status == 401:  # noqa: PLR2004
                answer.headers = {"WWW-Authenticate": self._authorization.challenge}
            raise answer from refused


async def _anything(_resource: str) -> None:
    """Let the holder of the account's key do what they ask."""


def _named_in(call: Call) -> str | None:
    """Return the container or table that the path names first."""
    name = call.path.partition("/")[0].partition("(")[0]
    return None if name in {"", "$batch", "Tables"} else name
