"""The HTTP connections to an API server: who we are, and how much is read.

Imported where a cluster is first used: the HTTP library of lightkube is heavy.
"""

import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from shared.surfaces.aks.bearer_tokens import BearerTokens

ANSWER_BYTES_MAX: Final = 64 * 2**20
"""Of an answer, and of one event of a watch: a list comes in pages, and etcd keeps at most 1.5 MiB
of one object."""
_UNAUTHORIZED: Final = 401
_CONNECTIONS: Final = httpx2.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=60.0
)
"""A watch holds one; one that does nothing is closed before an API server does, after 90 s."""


class AnswerTooLarge(httpx2.TransportError):
    """An answer has more bytes than any that is asked for."""


class ApiTransport(httpx2.AsyncBaseTransport):
    """Shows a token with each request, and a renewed one, once, where it is not taken.

    `is_lost` says that the server did not answer, or not as who it was, since it was last reset.
    """

    def __init__(self, tls: ssl.SSLContext, tokens: BearerTokens | None) -> None:
        self.is_lost = False
        self._connections = httpx2.AsyncHTTPTransport(
            verify=tls, trust_env=False, limits=_CONNECTIONS
        )
        self._tokens = tokens

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._sent(request)
        except httpx2.TransportError as broken:
            self.is_lost |= not isinstance(broken, httpx2.PoolTimeout)
            raise
        self.is_lost |= response.status_code == _UNAUTHORIZED
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream), "of an asynchronous transport"
        response.stream = _BoundedStream(stream, ANSWER_BYTES_MAX, request)
        return response

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        if self._tokens is None:
            return await self._connections.handle_async_request(request)
        token = await self._tokens.token()
        response = await self._with_token(request, token)
        if response.status_code == _UNAUTHORIZED:
            renewed = await self._tokens.renewed(token)
            if renewed is not None:
                await response.aclose()
                return await self._with_token(request, renewed)
        return response

    async def _with_token(self, request: httpx2.Request, token: str) -> httpx2.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return await self._connections.handle_async_request(request)

    async def aclose(self) -> None:
        await self._connections.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """A body, whole or in lines, of which the bound holds for each."""

    def __init__(
        self, stream: httpx2.AsyncByteStream, at_most: int, request: httpx2.Request
    ) -> None:
        self._stream = stream
        self._at_most = at_most
        self._request = request
        params = request.url.params
        self._has_lines = "true" in (params.get("watch"), params.get("follow"))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self._stream:
            end = part.rfind(b"\n") if self._has_lines else -1
            count = count + len(part) if end < 0 else len(part) - end - 1
            if count > self._at_most:
                message = f"the API server answered with more than {self._at_most} bytes"
                raise AnswerTooLarge(message, request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
