"""A TCP proxy on loopback that breaks connections where a test says so, whatever the protocol.

A fault waits for the next piece of what a client sends that has its `marker` in it (the head of a
request, a frame), and happens once. All else passes unchanged.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, Self

from shared.kernel.clock import SystemClock

_PIECE_BYTES: Final = 64 * 1024
_HEAD_BYTES: Final = 4096
_DROPS: Final = 8
_PAUSE_S: Final = 0.005


@dataclass(frozen=True)
class CutBefore:
    """The connection breaks; the server sees nothing of it."""

    marker: bytes


@dataclass(frozen=True)
class CutAfter:
    """The server does what it was asked; the connection breaks within its answer.

    The first *passed_bytes* of it arrive, of the first piece at most.
    """

    marker: bytes
    passed_bytes: int = 0


@dataclass(frozen=True)
class Stall:
    """The first *passed_bytes* of the answer arrive, and then nothing, until the client leaves."""

    marker: bytes
    passed_bytes: int


@dataclass(frozen=True)
class Answer:
    """An HTTP answer instead of the server's, which sees nothing of the request."""

    marker: bytes
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encoded(self) -> bytes:
        headers = {**self.headers, "Content-Length": str(len(self.body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {self.status} Fault", *(f"{n}: {v}" for n, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Drip:
    """The answer comes whole, in drops with pauses between them."""

    marker: bytes


Fault = CutBefore | CutAfter | Stall | Answer | Drip


@dataclass(frozen=True)
class Tls:
    """The two ends of a proxy that reads what is sent by https: as a server, and as a client."""

    server: ssl.SSLContext
    client: ssl.SSLContext


class CutProxy:
    """Passes on what comes to `port` to another port of this machine; enter it to serve."""

    def __init__(self, target_port: int, *, tls: Tls | None = None) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        """How each request began: the client spoke first, or again after an answer."""
        self._target_port = target_port
        self._tls = tls
        self._faults: deque[Fault] = deque()
        self._passed_first = 0
        self._open = AsyncExitStack()
        self._connections: set[asyncio.Task[None]] = set()

    def will(self, *faults: Fault, after: int = 0) -> None:
        """Let *faults* happen, one after the other; each waits for its marker.

        The next *after* requests pass before.
        """
        self._faults.extend(faults)
        self._passed_first = self.requests + after

    def forget(self) -> None:
        """Count from nothing, and let no fault happen that is still to come."""
        self.heads.clear()
        self.heal()

    def heal(self) -> int:
        """Let no fault happen that is still to come; return how many those were."""
        left = len(self._faults)
        self._faults.clear()
        return left

    @property
    def requests(self) -> int:
        return len(self.heads)

    @property
    def is_done(self) -> bool:
        """Whether every fault has happened."""
        return not self._faults

    async def __aenter__(self) -> Self:
        context = self._tls.server if self._tls else None
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        await self._open.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._open.aclose()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secured = {"ssl": self._tls.client, "server_hostname": "localhost"} if self._tls else {}
        upstream, to_upstream = await asyncio.open_connection(
            "127.0.0.1", self._target_port, **secured
        )
        passage = _Passage(self, reader, writer, upstream, to_upstream)
        pumps = [asyncio.ensure_future(pump) for pump in (passage.ask(), passage.answer())]
        try:
            # Whichever side ends first ends the other.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, to_upstream):
                end.close()

    def take(self, piece: bytes, *, begins: bool) -> Fault | None:
        """Return the next fault if *piece* has its marker; it is then over.

        *begins* says that *piece* is the first of a request.
        """
        if begins:
            self.heads.append(piece[:_HEAD_BYTES])
        is_its_turn = self.requests > self._passed_first
        if is_its_turn and self._faults and self._faults[0].marker in piece:
            return self._faults.popleft()
        return None


class _Passage:
    """One connection, in both directions."""

    def __init__(
        self,
        proxy: CutProxy,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client, self._to_client = client, to_client
        self._server, self._to_server = server, to_server
        self._fault: Fault | None = None
        self._is_asking = False

    async def ask(self) -> None:
        """Pass on what the client says, up to a fault that stops it."""
        with suppress(ConnectionError):
            while piece := await self._client.read(_PIECE_BYTES):
                begins, self._is_asking = not self._is_asking, True
                fault = None if begins else self._fault
                self._fault = self._proxy.take(piece, begins=begins) or fault
                if isinstance(self._fault, CutBefore):
                    return
                if isinstance(self._fault, Answer):
                    self._to_client.write(self._fault.encoded())
                    while await self._client.read(_PIECE_BYTES):
                        """The rest of the request, unread, would break the answer."""
                    return
                self._to_server.write(piece)
                await self._to_server.drain()

    async def answer(self) -> None:
        """Pass on what the server says, unless a fault has begun."""
        with suppress(ConnectionError):
            while piece := await self._server.read(_PIECE_BYTES):
                self._is_asking = False
                if isinstance(self._fault, CutAfter | Stall):
                    self._to_client.write(piece[: self._fault.passed_bytes])
                    await self._to_client.drain()
                    if isinstance(self._fault, Stall):
                        await asyncio.Event().wait()
                    return
                if isinstance(self._fault, Drip):
                    await self._drip(piece)
                    continue
                self._to_client.write(piece)
                await self._to_client.drain()

    async def _drip(self, piece: bytes) -> None:
        clock, size = SystemClock(), -(-len(piece) // _DROPS)
        for start in range(0, len(piece), size):
            self._to_client.write(piece[start : start + size])
            await self._to_client.drain()
            await clock.sleep(_PAUSE_S)
