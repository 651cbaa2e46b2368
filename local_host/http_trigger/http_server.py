"""The listening socket of the host, and its connections from open to close."""

import asyncio
import contextlib
import logging
import socket
from typing import Final

from local_host.http_trigger.http_connection import Connections, HttpConnection
from local_host.http_trigger.request_reader import HttpLimits
from local_host.http_trigger.response_heads import ResponseHeads
from local_host.model import HeadCheck, HttpAnswer, HttpCall, HttpHandler
from shared.kernel.clock import Clock

_log = logging.getLogger("local_host.http")
_BACKLOG: Final = 2048
_FLUSH_MAX_S: Final = 1.0
"""For a client to read the last answers when the host stops."""


async def _take_any(_head: HttpCall) -> HttpAnswer | None:
    return None


class HttpServer:
    """`open` takes the port, `start` serves it, `stop` closes it."""

    def __init__(
        self, address: str, port: int, *, grace_s: float, limits: HttpLimits | None = None
    ) -> None:
        self._address = address
        self._asked = port
        self._grace_s = grace_s
        self._limits = limits or HttpLimits()
        self._socket: socket.socket | None = None
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._connections: Connections | None = None

    @property
    def port(self) -> int:
        """The port in use; with 0 asked for, the one the system gave.

        It stays known when the server has stopped: what still runs in the host asks for it.
        """
        assert self._port is not None, "the server has not been opened"
        return self._port

    def open(self) -> None:
        """Take the port, so that it is known before anything runs. Raises OSError."""
        bound = socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._address, self._asked))
            # What calls before `start` waits in the backlog: parts that resume work at once may.
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self._port = bound.getsockname()[1]

    async def start(
        self, handle: HttpHandler, clock: Clock, *, check: HeadCheck = _take_any
    ) -> None:
        """Answer with *handle*; returns when connections are taken.

        *check* is asked before a long body is read.
        """
        assert self._socket is not None, "open comes first"
        loop = asyncio.get_running_loop()
        shared = Connections(handle, check, ResponseHeads(clock), self._limits, loop)
        self._connections = shared
        self._server = await loop.create_server(
            lambda: HttpConnection(shared), sock=self._socket, backlog=_BACKLOG
        )

    async def stop(self) -> None:
        """Close the port, let running requests finish within the grace, then cancel them."""
        if self._server is not None:
            self._server.close()
        if self._connections is not None:
            await self._close_connections(self._connections)
        if self._socket is not None:
            self._socket.close()

    async def _close_connections(self, shared: Connections) -> None:
        shared.is_stopping = True
        for connection in tuple(shared.open):
            connection.stop()
        tasks = {each.task for each in shared.open if each.task is not None} | shared.late
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._grace_s)
            for task in late:
                _log.warning("an HTTP call did not end in %g s and is canceled", self._grace_s)
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if shared.open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shared.all_closed.wait(), _FLUSH_MAX_S)
        for connection in tuple(shared.open):
            connection.abort()
        shared.idle.close()
        shared.answers.close()
