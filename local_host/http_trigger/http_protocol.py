"""uvicorn's protocol with a bound on what a client may send before its request has begun.

uvicorn limits neither the size of a request's head nor the time it takes to come, so one client
could fill the memory or keep connections for ever. The bounds are those of Kestrel, which the real
host listens with: 32 KB, 30 s.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES: Final = 32 * 1024
_TOO_LARGE: Final = "431 Request Header Fields Too Large"
_TOO_SLOW: Final = "408 Request Timeout"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Costs nothing where a head comes in one piece, as nearly all do."""

    head_max_s = 30.0
    _is_in_head = False
    _head_bytes = 0
    _too_slow: asyncio.TimerHandle | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._head_bytes:
            self._head_bytes = 0
            self._forget_timer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._too_slow is None:
                self._too_slow = self.loop.call_later(self.head_max_s, self._refuse, _TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def _refuse(self, status: str) -> None:
        self._forget_timer()
        self.transport.write(
            f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        self.transport.close()

    def _forget_timer(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None
