"""The transport of Azure's SDKs that `trusted_transport` opens; it needs azure-core and aiohttp."""

import socket
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientOSError,
    ClientSession,
    ServerDisconnectedError,
    ThreadedResolver,
)
from aiohttp.abc import ResolveResult
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.errors import Unavailable


class LoopbackNames(ThreadedResolver):
    """Finds names below `localhost` at the loopback address, which not every machine's DNS does.

    https://www.rfc-editor.org/rfc/rfc6761#section-6.3
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.endswith(".localhost"):
            return await super().resolve(host, port, family)
        resolved = await super().resolve("127.0.0.1", port, socket.AF_INET)
        return [{**each, "hostname": host} for each in resolved]


class TrustedTransport(AioHttpTransport):  # type: ignore[misc]  # azure.core loads it late
    """One on a session of its own. *answer_max*: see `trusted_transport`."""

    def __init__(self, session: ClientSession, answer_max: int | None, **timeouts: float) -> None:
        super().__init__(session=session, **timeouts)
        self._answer_max = answer_max

    async def send(self, request: Any, **options: Any) -> Any:
        # True is the connector's context; a path would be read, and connected anew, each time.
        options["connection_verify"] = True
        if self._answer_max is not None:
            return await self._bounded(request, self._answer_max, **options)
        return await self._sent(request, **options)

    async def _bounded(self, request: Any, at_most: int, **options: Any) -> Any:
        request.headers.update(PLAIN)
        answer = await self._sent(request, **{**options, "stream": True})
        if "Content-Encoding" in answer.internal_response.headers:
            answer.internal_response.close()
            raise Unavailable("an answer is compressed, which was not asked for")
        try:
            body = await read_bounded(answer.internal_response, at_most=at_most)
            answer._content = body  # noqa: SLF001  as reading sets it, which has no bound
            await answer.read()
        except BaseException as broken:
            answer.internal_response.close()
            if isinstance(broken, BodyTooLong):
                raise Unavailable(f"an answer has more than {at_most} bytes") from broken
            if isinstance(broken, ClientError):
                raise ServiceResponseError(str(broken), error=broken) from broken
            raise
        return answer

    async def _sent(self, request: Any, **options: Any) -> Any:
        try:
            return await super().send(request, **options)
        except ServiceRequestError as broken:
            cause = broken.inner_exception
            if isinstance(cause, ClientConnectorError) or not isinstance(
                cause, ClientOSError | ServerDisconnectedError
            ):
                raise
            # The SDKs take it for a request that was never sent, and repeat any; azure-cosmos
            # looks at the cause too, so that is not handed on.
            raise ServiceResponseError(broken.message) from broken
