"""The HTTP connections of Azure's SDKs: whom they trust, verified everywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.kernel.trust import trusting

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AioHttpTransport


def trusted_transport(
    ca_file: Path | None, *, sends_again: bool = True, **timeouts: float
) -> "AioHttpTransport":
    """Return a transport that trusts *ca_file* besides the machine's authorities.

    It verifies at loopback addresses too: there azure-cosmos verifies nothing, and hands its token
    to whoever listens. aiohttp sends a PUT or DELETE again by itself where the connection breaks,
    unless *sends_again* is false. Raises Unavailable where the file cannot be read.
    """
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415  heavy
    from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415  heavy: where used

    class Verifying(AioHttpTransport):  # type: ignore[misc]  # azure.core loads it late
        async def send(self, request: Any, **options: Any) -> Any:
            # True is the connector's context; a path would be read, and connected anew, each time.
            return await super().send(request, **{**options, "connection_verify": True})

    session = ClientSession(
        connector=TCPConnector(ssl=trusting(ca_file)),
        cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=True,
    )  # fmt: skip  # as the SDKs make their own
    session._retry_connection = sends_again  # noqa: SLF001  it has no public name
    return Verifying(session=session, **timeouts)
