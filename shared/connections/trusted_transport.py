"""The HTTP connections of Azure's SDKs: whom they trust, and what they make of a broken one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.kernel.errors import Unavailable
from shared.kernel.trust import trusting

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from azure.core.pipeline.transport import AioHttpTransport


def trusted_transport(
    ca_file: Path | None, *, answer_max: int | None = None, **timeouts: float
) -> "AioHttpTransport":
    """Return a transport that trusts *ca_file* besides the machine's authorities.

    An answer of more than *answer_max* bytes is Unavailable, before it is in memory.

    It verifies at loopback addresses too: there azure-cosmos verifies nothing, and hands its token
    to whoever listens. A request whose connection breaks is a lost answer, and sent again by no
    one but an SDK that knows that it may be. Raises Unavailable where the file cannot be read.
    """
    from aiohttp import (  # noqa: PLC0415  heavy: where used
        ClientConnectorError,
        ClientError,
        ClientOSError,
        ClientSession,
        DummyCookieJar,
        ServerDisconnectedError,
        TCPConnector,
    )
    from azure.core.exceptions import (  # noqa: PLC0415  heavy: where used
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415  heavy: where used

    class Transport(AioHttpTransport):  # type: ignore[misc]  # azure.core loads it late
        async def send(self, request: Any, **options: Any) -> Any:
            # True is the connector's context; a path would be read, and connected anew, each time.
            options["connection_verify"] = True
            if answer_max is not None:
                return await self._bounded(request, answer_max, **options)
            return await self._sent(request, **options)

        async def _bounded(self, request: Any, at_most: int, **options: Any) -> Any:
            # One that is compressed could be of any size.
            request.headers["Accept-Encoding"] = "identity"
            answer = await self._sent(request, **{**options, "stream": True})
            try:
                body = await read_bounded(answer.internal_response, at_most)
                answer._content = body  # noqa: SLF001  as reading sets it, which has no bound
                await answer.read()
            except BaseException as broken:
                answer.internal_response.close()
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

    session = ClientSession(
        connector=TCPConnector(ssl=trusting(ca_file)),
        cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=True,
    )  # fmt: skip  # as the SDKs make their own
    # aiohttp sends GET, PUT and DELETE again by itself: a secret that was set would get two
    # versions, and a lease that was replaced would be another's. It has no public name for this.
    session._retry_connection = False  # noqa: SLF001
    return Transport(session=session, **timeouts)


async def read_bounded(answer: "ClientResponse", at_most: int) -> bytes:
    """Return the body of *answer*. Raises Unavailable where it has more than *at_most* bytes."""
    if "Content-Encoding" in answer.headers:
        raise Unavailable("an answer is compressed, which was not asked for")
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > at_most:
            raise Unavailable(f"an answer has more than {at_most} bytes")
    return bytes(body)
