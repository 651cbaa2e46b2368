"""The HTTP connections of Azure's SDKs: whom they trust, and what they make of a broken one."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared.kernel.trust import trusting

if TYPE_CHECKING:
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
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415  where used

    from shared.connections.sdk_transport import LoopbackNames, TrustedTransport  # noqa: PLC0415  where used

    session = ClientSession(
        connector=TCPConnector(ssl=trusting(ca_file), resolver=LoopbackNames()),
        cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=True,
    )  # fmt: skip  # as the SDKs make their own
    # aiohttp sends GET, PUT and DELETE again by itself: a secret that was set would get two
    # versions, and a lease that was replaced would be another's. It has no public name for this.
    session._retry_connection = False  # noqa: SLF001
    return TrustedTransport(session, answer_max, **timeouts)
