"""Asks an instance which release it is; what it answers is foreign, and may be anything."""

from typing import Final

import aiohttp

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.surfaces.release_answer import ReleaseUnknown, release_in
from shared.surfaces.spec import ReleaseQuestion

TIMEOUT_S: Final = 5


async def ask_release(port: int, question: ReleaseQuestion) -> str:
    """Return the release that the instance on *port* of this machine reports.

    Raises:
        ReleaseUnknown: no answer in time, no JSON, or no such field.
    """
    url = f"http://127.0.0.1:{port}{question.path}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url, headers=PLAIN, allow_redirects=False) as response,
        ):
            status, body = response.status, await read_bounded(response)
    except TimeoutError:
        raise ReleaseUnknown(f"no answer within {TIMEOUT_S} s") from None
    except (aiohttp.ClientError, BodyTooLong, ValueError) as failed:
        raise ReleaseUnknown(str(failed) or type(failed).__name__) from failed
    return release_in(status, body, question)
