"""The HTTP connections to an API server: whom they trust, who we are, how much they read.

Imported where a cluster is first used: the HTTP library of lightkube is heavy.
"""

import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx2

from shared.kernel.trust import trusting
from shared.surfaces.aks.bearer_tokens import BearerTokens
from shared.surfaces.aks.cluster_errors import ClusterRefused
from shared.surfaces.aks.kubeconfig import UserProof

ANSWER_BYTES_MAX: Final = 64 * 2**20
"""Of an answer, and of one event of a watch: a list comes in pages, and etcd keeps at most 1.5 MiB
of one object."""
_UNAUTHORIZED: Final = 401
_CONNECTIONS: Final = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
"""A watch holds one."""


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


def tls_context(authority: str | None, proof: UserProof, ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of a client that trusts *authority* alone, and shows that of *proof*.

    Without an authority it trusts *ca_file* and the machine's.

    Raises:
        ClusterRefused: one of them is no PEM, or the key is not that of the certificate.
        Unavailable: *ca_file* cannot be read.
    """
    if authority is None:
        context = trusting(ca_file)
    else:
        # No default context: from Python 3.13 that is strict about extensions which certificates
        # that clusters sign for themselves may lack.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as problem:
            raise ClusterRefused("the cluster's certificate authority is no PEM") from problem
    if proof.certificate is not None and proof.key is not None:
        _load(context, proof.certificate, proof.key)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL takes a key from a file only; this one has mode 0600 and ends at once.
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ssl.SSLError, ValueError) as problem:
            raise ClusterRefused(
                "the client certificate and its key are no pair in PEM, without a password"
            ) from problem


def _no_password() -> str:
    """Keep OpenSSL from asking the terminal."""
    raise ValueError("the key has a password")
