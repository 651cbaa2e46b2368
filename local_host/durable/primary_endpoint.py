"""The task hub as the other hosts of a state folder reach it: at the primary, over HTTP.

The primary writes its address into a private file. What it is asked carries a secret of it, and
its answers carry what that secret was made from: so no other program that listens at the address
since the primary ended is taken for it.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from local_host.model import HttpAnswer, HttpCall
from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.errors import Unavailable
from shared.persistence.disk_errors import translated_errors
from shared.persistence.plain_files import read_plain, write_private

if TYPE_CHECKING:
    import aiohttp

FILE: Final = "durable.json"
RPC: Final = "/admin/durabletask"
"""Where the library's client calls, and other hosts of the folder: the host's own port, below a
path that only they are told. In Azure this is a loopback port without a key."""
PROOF: Final = "x-durable-primary"
_FILE_MAX: Final = 4096
_CONNECT_S: Final = 2.0
_ANSWER_S: Final = 30.0
"""A command takes milliseconds; a primary that hangs is not waited for any longer."""
_WAITING_ANSWER_S: Final = 240.0
"""For a start that waits for the result; the primary ends a call after 230 s."""
_ANSWER_MAX: Final = 64 * 2**20
_SENT: Final = frozenset({"content-type", "traceparent", "tracestate", "x-ms-continuation-token"})
_RETURNED: Final = ("content-type", "location", "retry-after", "x-ms-continuation-token")


class NobodyAnswers(Exception):
    """Nobody is primary, or none has answered yet: the request had no effect."""


@dataclass(frozen=True)
class PrimaryEndpoint:
    """Where a primary answers; made and written by it when it begins to."""

    address: str
    """`http://host:port`."""
    proof: str
    """Shown with each answer, and never asked with: only who may read the file knows it."""

    @property
    def secret(self) -> str:
        """The part of the path that callers know."""
        return hashlib.sha256(self.proof.encode()).hexdigest()

    def permits(self, secret: str) -> bool:
        return hmac.compare_digest(secret.encode(), self.secret.encode())

    def path(self, hub: str) -> str:
        return f"{RPC}/{self.secret}/{quote(hub, safe='')}/"

    def write(self, folder: Path) -> None:
        """Write it where `read_endpoint` finds it. Raises Unavailable."""
        content = json.dumps({"address": self.address, "proof": self.proof}).encode()
        with translated_errors(FILE):
            write_private(folder / FILE, content, is_durable=False)


def read_endpoint(folder: Path) -> PrimaryEndpoint | None:
    """Return the endpoint that the latest primary of *folder* wrote; None where there is none."""
    try:
        written = json.loads(read_plain(folder / FILE, at_most=_FILE_MAX))
        return PrimaryEndpoint(str(written["address"]), str(written["proof"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class PrimaryClient:
    """Forwards requests to the primary of *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, call: HttpCall, hub: str, rest: str) -> HttpAnswer:
        """Return the primary's answer to *call* about *rest*, a path of *hub*.

        Raises:
            NobodyAnswers: it may be sent again.
            Unavailable: the primary was asked and has not answered; it may have acted.
        """
        import aiohttp  # noqa: PLC0415  the durable library brings it anyhow

        endpoint = read_endpoint(self._folder)
        if endpoint is None:
            raise NobodyAnswers
        try:
            return await self._ask(endpoint, call, f"{endpoint.path(hub)}{rest.lstrip('/')}")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            raise NobodyAnswers from problem
        except BodyTooLong as problem:
            raise Unavailable(f"the primary host of the folder: {problem}") from problem
        except (aiohttp.ClientError, TimeoutError) as problem:
            if call.method == "GET":
                raise NobodyAnswers from problem
            raise Unavailable(
                f"the primary host of the folder has not answered ({type(problem).__name__}), and"
                " may have done what it was asked"
            ) from problem

    async def _ask(self, endpoint: PrimaryEndpoint, call: HttpCall, path: str) -> HttpAnswer:
        import aiohttp  # noqa: PLC0415  the durable library brings it anyhow
        import yarl  # noqa: PLC0415

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
            )
        # The primary makes its links of the address that the caller knows.
        scheme, _, host = call.origin.partition("://")
        sent = {name: value for name, value in call.headers if name in _SENT}
        waits = "timeout=" in call.query.lower()
        async with self._session.request(
            call.method,
            yarl.URL(f"{endpoint.address}{path}?{call.query}", encoded=True),
            data=call.body or None,
            headers={**PLAIN, **sent, "host": host, "x-forwarded-proto": scheme},
            skip_auto_headers=("content-type", "user-agent"),
            timeout=aiohttp.ClientTimeout(
                total=_WAITING_ANSWER_S if waits else _ANSWER_S, sock_connect=_CONNECT_S
            ),
            allow_redirects=False,
        ) as answer:
            # Whoever listens there may answer any bytes.
            proof = answer.headers.get(PROOF, "").encode(errors="surrogateescape")
            if not hmac.compare_digest(proof, endpoint.proof.encode()):
                raise NobodyAnswers
            body = await read_bounded(answer, at_most=_ANSWER_MAX)
        returned = [(n, answer.headers[n]) for n in _RETURNED if n in answer.headers]
        # The path below which the primary was asked is nobody else's to know.
        shown = [(name, value.replace(path, call.path)) for name, value in returned]
        return HttpAnswer(answer.status, shown, body)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
