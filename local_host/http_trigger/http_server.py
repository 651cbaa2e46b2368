"""The socket: uvicorn drives one thin ASGI callable, which turns requests into `HttpCall`.

uvicorn (httptools, uvloop where it is installed) is imported when a host opens a port, not before.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from local_host.invocation.timeouts import Timeouts
from local_host.model import HttpAnswer, HttpCall, HttpHandler
from shared.kernel.clock import Clock

_log = logging.getLogger("local_host.http")
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

ANSWER_MAX_S: Final = 230.0
"""Azure's load balancer gives up then; the function runs on until `functionTimeout`."""
BODY_MAX_BYTES: Final = 100 * 1024 * 1024
"""The host's default (`FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`)."""
_BACKLOG: Final = 2048
_NO_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_TOO_LATE: Final = HttpAnswer(HTTPStatus.BAD_GATEWAY)
_TOO_LARGE: Final = HttpAnswer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class AsgiApplication:
    """The ASGI application that uvicorn calls for each request."""

    def __init__(
        self,
        handle: HttpHandler,
        *,
        answer_max_s: float = ANSWER_MAX_S,
        body_max_bytes: int = BODY_MAX_BYTES,
    ) -> None:
        self._handle = handle
        self._answer_max_s = answer_max_s
        self._body_max = body_max_bytes
        self._late: set[asyncio.Task[None]] = set()
        self._timeouts: Timeouts[_Reply] = Timeouts(answer_max_s, self._give_up)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        headers, host = [], None
        for name, text in scope["headers"]:
            if name == b"host":
                host = text.decode("latin-1")
            headers.append((name.decode("latin-1"), text.decode("latin-1")))
        message = await receive()
        body: bytes | None = message.get("body", b"")
        if message.get("more_body") or len(body or b"") > self._body_max:
            body = await self._rest(body or b"", message, receive)
        if body is None:
            await _send_answer(send, _TOO_LARGE)
            return
        call = HttpCall(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
            body,
            f"{scope['scheme']}://{host or _address(scope)}",
        )
        reply = _Reply(send, call)
        self._timeouts.enter(reply, asyncio.get_running_loop())
        try:
            answer = await self._handle(call)
        finally:
            is_in_time = self._timeouts.leave(reply)
        if is_in_time:
            await _send_answer(send, answer)

    async def _rest(self, first: bytes, message: _Message, receive: _Receive) -> bytes | None:
        """Return the whole body, None when it is larger than the host takes."""
        pieces, size = [first], len(first)
        while size <= self._body_max and message.get("more_body"):
            message = await receive()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        return b"".join(pieces) if size <= self._body_max else None

    def _give_up(self, reply: "_Reply") -> None:
        _log.warning(
            "%s %s had no answer in %g s: Azure's load balancer would have given up; answer 202 and"
            " let the caller poll",
            reply.call.method,
            reply.call.path,
            self._answer_max_s,
        )
        late = asyncio.ensure_future(_send_answer(reply.out, _TOO_LATE))
        self._late.add(late)
        late.add_done_callback(self._late.discard)


class _Reply:
    """One call that is being answered, and where its answer goes."""

    __slots__ = ("call", "out")

    def __init__(self, out: _Send, call: HttpCall) -> None:
        self.out = out
        self.call = call


async def _send_answer(send: _Send, answer: HttpAnswer) -> None:
    headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in answer.headers]
    if answer.status not in _NO_BODY:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _address(scope: _Message) -> str:
    address, port = scope.get("server") or ("127.0.0.1", 80)
    return f"{address}:{port}"


class HttpServer:
    """One listening socket."""

    def __init__(self, entry: AsgiApplication, address: str, port: int, *, grace_s: float) -> None:
        self._entry = entry
        self._address = address
        self._asked = port
        self._grace_s = grace_s
        self._socket: socket.socket | None = None
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use; with 0 asked for, the one the system gave."""
        assert self._socket is not None, "the server has not been opened"
        port: int = self._socket.getsockname()[1]
        return port

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

    async def start(self, clock: Clock) -> None:
        """Serve; returns when connections are taken."""
        import uvicorn  # noqa: PLC0415  only a host with a port needs it

        from local_host.http_trigger.http_protocol import BoundedProtocol  # noqa: PLC0415  as above

        class Embedded(uvicorn.Server):
            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                """Leave signals to the process that embeds the host."""
                yield

        assert self._socket is not None, "open comes first"
        config = uvicorn.Config(
            self._entry,
            http=BoundedProtocol,
            ws="none",
            backlog=_BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(self._grace_s)),
        )
        server = Embedded(config)
        self._server = server
        self._serving = asyncio.create_task(server.serve(sockets=[self._socket]), name="http")
        while not server.started and not self._serving.done():
            await clock.sleep(0.005)
        if self._serving.done():
            self._serving.result()

    async def stop(self) -> None:
        """Close the port, let running requests finish within the grace."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving
        if self._socket is not None:
            self._socket.close()
