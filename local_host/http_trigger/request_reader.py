"""Reads the requests of one HTTP/1.1 connection: httptools parses, bounds are Kestrel's.

Kestrel is what the real host listens with: 32 KB and 30 s for a head, 240 bytes a second for a
body. The body's size is bounded as by the Functions host. A request is handed over once its body is
whole; the head of a long one is checked before that. Nothing is upgraded: such a
request is answered as any other, and the connection ends.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import httptools

from local_host.model import HttpAnswer, HttpCall

_log = logging.getLogger("local_host.http")


@dataclass(frozen=True)
class HttpLimits:
    """How much, and how long, a client may send, and how long its answer may take."""

    head_max_bytes: int = 32 * 1024
    head_max_s: float = 30.0
    body_max_bytes: int = 100 * 1024 * 1024
    """The host's default (`FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`)."""
    body_grace_s: float = 5.0
    body_least_bytes_per_s: float = 240.0
    """Kestrel's `MinRequestBodyDataRate`, after the grace."""
    checked_bytes: int = 64 * 1024
    """Longer bodies, and those of unknown length, are read once their head was checked."""
    idle_max_s: float = 130.0
    """Without a byte from the client while it is waited for."""
    answer_max_s: float = 230.0
    """Azure's load balancer gives up then; the function runs on until `functionTimeout`."""


class Receiver(Protocol):
    """The connection, as the reader needs it."""

    def take(self, asked: HttpCall | HttpAnswer, *, keep_alive: bool) -> None:
        """Answer a call in its turn, or send the answer to what is no call."""
        ...

    @property
    def is_reading(self) -> bool:
        """Whether the client's bytes are taken from the socket."""
        ...

    def invite_body(self) -> None:
        """Send `100 Continue` once the request being read is the next to be answered."""
        ...

    def check_head(self, head: HttpCall, *, invites: bool) -> None:
        """Read on, and invite the body where that is asked for, once *head* may have a long one."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def drop_slowly(self, size: int) -> None:
        """Go on reading once *size* bytes that were read for nothing have had their time."""
        ...

    def origin_of(self, call: HttpCall) -> str:
        """Return scheme and host as the caller addressed them."""
        ...


class RequestReader:
    """The callbacks of httptools, which it finds by name, and what they gather."""

    def __init__(
        self, receiver: Receiver, limits: HttpLimits, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._receiver = receiver
        self._limits = limits
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        # The answer to a request that ends the connection must not depend on what follows it.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._expects_continue = False
        self._is_in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_body = False
        self._is_dropped = False
        self._body_timer: asyncio.TimerHandle | None = None
        self._body_counted = (0.0, 0)
        self.has_ended = False
        """Whether the last request of the connection was read: nothing is read after it."""

    def feed(self, data: bytes) -> None:
        """Read *data*; requests that it completes are handed over."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.has_ended = True
        except httptools.HttpParserError as problem:
            _log.warning("a client sent no valid HTTP request: %s", problem)
            self._refuse(HTTPStatus.BAD_REQUEST)
        if self._is_in_body and self._is_dropped:
            self._receiver.drop_slowly(len(data))
        if self._is_in_head:
            self._bound_head(len(data))
        elif self._is_in_body and self._body_timer is None:
            self._count_body(self._limits.body_grace_s)

    def drop_body(self, answer: HttpAnswer) -> None:
        """Answer now; the rest of the body is read and dropped, or the answer would not be seen."""
        self._is_dropped = True
        self._pieces = []
        self._receiver.take(answer, keep_alive=self._keeps_alive())

    def close(self) -> None:
        self.has_ended = True
        self._end_head()
        self._end_body()

    # -- httptools' callbacks ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._pieces = []
        self._size = 0
        self._is_in_head = True
        self._is_dropped = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer: no function sees it
        lowered = _lowered(name)
        if lowered == "expect" and value.lower() == b"100-continue":
            self._expects_continue = True
        self._headers.append((lowered, value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        if self._head_bytes:
            self._end_head()
        self._is_in_head = False
        self._is_in_body = True
        expects, self._expects_continue = self._expects_continue, False
        if self._may_be_long():
            self._receiver.check_head(self._call(b""), invites=expects)
        elif expects:
            self._receiver.invite_body()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._is_dropped:
            if self._size > 2 * self._limits.body_max_bytes:
                self._receiver.abort()
            return
        if self._size <= self._limits.body_max_bytes:
            self._pieces.append(body)
        else:
            self.drop_body(HttpAnswer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))

    def on_message_complete(self) -> None:
        self._is_in_body = False
        if self._body_timer is not None:
            self._end_body()
        if self._is_dropped:
            return
        pieces = self._pieces
        body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        keep_alive = self._keeps_alive()
        self.has_ended = not keep_alive
        self._receiver.take(self._call(body), keep_alive=keep_alive)

    def _call(self, body: bytes) -> HttpCall:
        path, query = _path_and_query(self._url)
        method = self._parser.get_method().decode("ascii")
        call = HttpCall(method, path, query, self._headers, body)
        call.origin = self._receiver.origin_of(call)
        return call

    def _may_be_long(self) -> bool:
        for name, value in self._headers:
            if name == "transfer-encoding":
                return True
            if name == "content-length":
                return int(value) > self._limits.checked_bytes
        return False

    def _keeps_alive(self) -> bool:
        parser = self._parser
        # A 1.0 client that asks to keep the connection would have to be told that it is kept.
        return (
            parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() != "1.0"
        )

    # -- bounds ------------------------------------------------------------------------------

    def _bound_head(self, size: int) -> None:
        """Refuse a head that is too long or takes too long; one that comes whole costs nothing."""
        self._head_bytes += size
        if self._head_bytes > self._limits.head_max_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(
                self._limits.head_max_s, self._refuse, HTTPStatus.REQUEST_TIMEOUT
            )

    def _end_head(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _count_body(self, after_s: float) -> None:
        """Look again *after_s* whether the body comes fast enough."""
        self._body_counted = (self._loop.time(), self._size)
        self._body_timer = self._loop.call_later(after_s, self._require_rate)

    def _require_rate(self) -> None:
        since, size = self._body_counted
        elapsed_s = self._loop.time() - since
        is_slow = self._size - size < self._limits.body_least_bytes_per_s * elapsed_s
        if not is_slow or not self._receiver.is_reading:
            self._count_body(self._limits.body_grace_s)
        elif self._is_dropped:
            self._receiver.abort()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _end_body(self) -> None:
        self._is_in_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request, in its turn; the connection ends with that."""
        self.close()
        self._receiver.take(HttpAnswer(status), keep_alive=False)


@lru_cache(maxsize=512)
def _lowered(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _path_and_query(url: bytes) -> tuple[str, str]:
    """Return both percent-encoded. Raises HttpParserError when *url* has no path."""
    if not url.startswith(b"/") or b"#" in url:
        parsed = httptools.parse_url(url)
        url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
    path, _, query = url.decode("ascii").partition("?")
    return path, query
