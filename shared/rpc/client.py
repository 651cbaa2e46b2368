"""Calls a port that another process of this machine implements, on a socket in its folder.

That process may end and start again at any time, then with another token.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from shared.connections.bounded_body import BodyTooLong, read_bounded
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.persistence.unix_sockets import short_name
from shared.rpc.api import Api

STARTS_WITHIN_S: Final = 20.0
"""A process starts in 1 s; on a starved machine it may need longer."""
ANSWER_BYTES_MAX: Final = 64 * 2**20
"""An inventory with the counters of all its components, and the last lines of an instance."""
_POLL_INTERVAL_S: Final = 0.05
_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_UNKNOWN: Final = 404


class SocketClient:
    """The calls of one API to the process that answers on *socket*.

    *read_token* returns its token, None while it has written none; it and *ensure*, which starts
    the process where that is ours to do, run in a thread. *subject* is what messages call the
    process, *remedy* what to do where nobody answers. *load_api* is called at the first use.
    """

    def __init__(
        self,
        socket: Path,
        load_api: Callable[[], Api],
        read_token: Callable[[], str | None],
        ensure: Callable[[], None],
        clock: Clock,
        *,
        subject: str,
        remedy: str,
    ) -> None:
        self._socket = socket
        self._load_api = load_api
        self._read_token = read_token
        self._ensure = ensure
        self._clock = clock
        self._subject = subject
        self._remedy = remedy
        self._token: str | None = None

    async def call(self, method: str, arguments: Mapping[str, object], within_s: float) -> Any:
        """Return what *method* answered; while nobody answers, start the process and ask again.

        Every method may be repeated, so a call that broke off is asked again as well.

        Raises:
            Refused, Unavailable: as the port, and Unavailable where nobody answers in time.
        """
        api = self._load_api()
        call = api.calls[method]
        body = call.write_arguments(arguments)
        give_up_at_s = self._clock.monotonic_s() + STARTS_WITHIN_S
        while True:
            self._token = self._token or await asyncio.to_thread(self._read_token)
            if self._token is not None:
                answer = await self._ask(self._token, method, body, within_s)
                if answer is not None:
                    status, content = answer
                    if status == _OK:
                        try:
                            return call.read_answer(content)
                        except ValueError as strange:
                            self._refuse_strange(strange)
                    if status == _UNKNOWN and not content.startswith(b"{"):
                        self._refuse_strange(None)  # it has no such method
                    raise api.read_error(content)
                self._token = None
            if self._clock.monotonic_s() >= give_up_at_s:
                self._refuse_strange(None)
            await asyncio.to_thread(self._ensure)
            await self._clock.sleep(_POLL_INTERVAL_S)

    def _refuse_strange(self, cause: Exception | None) -> NoReturn:
        raise Unavailable(
            f"{self._subject} does not answer, or is of another version: {self._remedy}"
        ) from cause

    async def _ask(
        self, token: str, method: str, body: bytes, within_s: float
    ) -> tuple[int, bytes] | None:
        """Return the status and the body of the answer; None where that process has ended.

        Raises:
            Unavailable: it answers too late, or too much.
        """
        import aiohttp  # noqa: PLC0415  100 ms at a cold start, which apps that do not ask are spared

        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=within_s)
        try:
            with short_name(self._socket) as socket:
                # A session a call: one that is kept would outlive the host that asks.
                async with (
                    aiohttp.ClientSession(
                        connector=aiohttp.UnixConnector(socket),
                        timeout=timeout,
                        auto_decompress=False,
                    ) as session,
                    session.post(
                        f"http://socket/v1/{method}", data=body, headers=headers
                    ) as answer,
                ):
                    content = await read_bounded(answer, at_most=ANSWER_BYTES_MAX)
                    # The next process has the same socket and another token.
                    return None if answer.status == _UNAUTHENTICATED else (answer.status, content)
        except TimeoutError:
            late = f"{self._subject} did not answer {method} in {within_s:.0f} s"
            raise Unavailable(late) from None
        except BodyTooLong as long:
            raise Unavailable(f"{self._subject} answered {method}: {long}") from long
        except (aiohttp.ClientError, OSError):
            return None
