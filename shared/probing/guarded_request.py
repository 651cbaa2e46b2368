"""One request over aiohttp to a destination that the guard has checked, without redirects.

It has a connection and a session of its own: a pooled connection would not prove that a new one can
be made, and nothing is left to close when a host or a loop ends.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.connections.bounded_body import PLAIN
from shared.probing.guard import Destination

if TYPE_CHECKING:
    from aiohttp import ClientResponse


@asynccontextmanager
async def answer_of(
    method: str,
    destination: Destination,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator["ClientResponse"]:
    """Give the answer, whose body is read within; *trust* has other authorities than the machine's.

    Raises:
        OSError: a broken connection, or a broken answer.
    """
    import aiohttp  # noqa: PLC0415  slow to import, and only apps that send such requests need it
    from yarl import URL  # noqa: PLC0415

    connector = aiohttp.TCPConnector(force_close=True, ssl=trust or True)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, trust_env=False, auto_decompress=False
            ) as session,
            session.request(
                method,
                URL(destination.url, encoded=True),
                data=body,
                headers={"Host": destination.host_header, **PLAIN, **(headers or {})},
                server_hostname=destination.server_name,
                allow_redirects=False,
            ) as response,
        ):
            yield response
    except aiohttp.ClientConnectorError as problem:
        raise problem.os_error from problem
    except aiohttp.ClientError as problem:
        raise OSError(type(problem).__name__) from problem
