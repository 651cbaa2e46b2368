"""Asks another app of the platform over its HTTP API, as the caller whose token is at hand.

What comes back is an error of our own families, so that a use case need not know of HTTP.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.errors import Denied, Invalid, NotFound, Refused, Unauthenticated, Unavailable
from shared.kernel.trust import trusting
from shared.telemetry.names import CALL, OUTSIDE_CALL, PORT
from shared.telemetry.work import current

TIMEOUT_S: Final = 10.0
ANSWER_MAX: Final = 1 << 20
"""An answer of a service to a question of another one takes a few KB."""
_REFUSALS: Final[Mapping[int, type[Refused]]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
}


class HttpReader:
    """GETs below *base* (`http://127.0.0.1:7071`); for questions that are asked now and then."""

    def __init__(self, base: str, ca_file: Path | None = None) -> None:
        """*ca_file* has certificate authorities to trust besides the machine's."""
        self._base = base.rstrip("/")
        self._ca_file = ca_file

    async def get(self, path: str, token: str) -> bytes:
        """Return the body of a 200.

        Raises:
            Invalid, Unauthenticated, Denied, NotFound: what the answer's status says.
            Unavailable: no answer, or any other status.
        """
        with current().part(OUTSIDE_CALL, "app get", {PORT: "app", CALL: "get"}) as span:
            return await self._get(path, token, span.traceparent)

    async def _get(self, path: str, token: str, parent: str) -> bytes:
        import aiohttp  # noqa: PLC0415  100 ms at a cold start, which apps that do not ask are spared

        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **PLAIN}
        if parent:
            headers["traceparent"] = parent
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        trust = await asyncio.to_thread(trusting, self._ca_file)  # reads files
        try:
            # A session a question: one that is kept would outlive the host that asks.
            async with (
                aiohttp.ClientSession(
                    timeout=timeout, headers=headers, auto_decompress=False
                ) as session,
                session.get(self._base + path, allow_redirects=False, ssl=trust) as answer,
            ):
                body = await read_bounded(answer, at_most=ANSWER_MAX)
                status = answer.status
        except (aiohttp.ClientError, BodyTooLong, TimeoutError) as problem:
            raise Unavailable(f"GET {path} had no answer: {type(problem).__name__}") from problem
        if status == 200:  # noqa: PLR2004
            return body
        refusal = _REFUSALS.get(status)
        if refusal is None:
            raise Unavailable(f"GET {path} answered {status}")
        raise refusal(f"GET {path} answered {status}: {body[:300].decode(errors='replace')}")
