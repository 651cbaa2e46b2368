"""One HTTP/1.1 connection: answers its requests one after the other.

A request that comes before its turn waits, and reading pauses; a client that does not read its
answers is not read from.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from local_host.http_trigger.request_reader import HttpLimits, RequestReader
from local_host.http_trigger.response_heads import NO_BODY, ResponseHeads
from local_host.invocation.timeouts import Timeouts
from local_host.model import HeadCheck, HttpAnswer, HttpCall, HttpHandler

_log = logging.getLogger("local_host.http")
_JOINED_MAX_BYTES: Final = 64 * 1024
"""A longer body is not copied behind its head."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LOOPBACK: Final = ("127.0.0.1", "::1")
_DROPPED_BYTES_PER_S: Final = 64 * 2**20
"""Of refused bodies, over all connections: 2,000 MB/s of them left no time for anybody else."""
_TOO_LATE: Final = HttpAnswer(HTTPStatus.BAD_GATEWAY)
_FAILED: Final = HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR)


@dataclass(eq=False)
class Connections:
    """The connections of one server, and what they share."""

    handle: HttpHandler
    check: HeadCheck
    heads: ResponseHeads
    limits: HttpLimits
    loop: asyncio.AbstractEventLoop
    open: "set[HttpConnection]" = field(default_factory=set)
    late: set[asyncio.Task[None]] = field(default_factory=set)
    """Calls that run though nobody waits for their answer."""
    is_stopping: bool = False
    _dropped_until_s: float = 0.0

    def delay_of_dropped(self, size: int) -> float:
        """Return after how many seconds *size* bytes of refused bodies have had their time."""
        now_s = self.loop.time()
        self._dropped_until_s = max(now_s, self._dropped_until_s) + size / _DROPPED_BYTES_PER_S
        return self._dropped_until_s - now_s

    def __post_init__(self) -> None:
        self.all_closed = asyncio.Event()
        self.idle: Timeouts[HttpConnection] = Timeouts(self.limits.idle_max_s, HttpConnection.abort)
        self.answers: Timeouts[HttpConnection] = Timeouts(
            self.limits.answer_max_s, HttpConnection.answer_too_late
        )

    def let_run(self, task: asyncio.Task[None]) -> None:
        """Let *task* end by itself."""
        self.late.add(task)
        task.add_done_callback(self.late.discard)


class HttpConnection(asyncio.Protocol):
    """The transport's callbacks, and the turns of the requests."""

    def __init__(self, shared: Connections) -> None:
        self._shared = shared
        self._reader = RequestReader(self, shared.limits, shared.loop)
        self._transport: asyncio.Transport
        self._call: HttpCall | None = None
        self.task: asyncio.Task[None] | None = None
        """Runs the call that is answered now."""
        self._keeps_alive = True
        self._waiting: deque[tuple[HttpCall | HttpAnswer, bool]] = deque()
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._owes_continue = False
        self._check: asyncio.Task[None] | None = None
        self._dropping: asyncio.TimerHandle | None = None

    # -- the transport's callbacks -----------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        if self._shared.is_stopping:
            transport.close()
        self._shared.open.add(self)
        self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        """Let the function that runs end; its answer is dropped."""
        shared = self._shared
        shared.open.discard(self)
        if shared.is_stopping and not shared.open:
            shared.all_closed.set()
        shared.idle.leave(self)
        shared.answers.leave(self)
        self._reader.close()
        self._waiting.clear()
        if self._check is not None:
            self._check.cancel()
        if self._dropping is not None:
            self._dropping.cancel()
        if self.task is not None:
            shared.let_run(self.task)
        self._call = self.task = None

    def data_received(self, data: bytes) -> None:
        if self._reader.has_ended:
            return
        self._shared.idle.leave(self)
        self._reader.feed(data)
        if self._call is None:
            self._await_client()

    def pause_writing(self) -> None:
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        if self._call is None:
            self._go_on()

    # -- the server's side -------------------------------------------------------------------

    def stop(self) -> None:
        """Close, after the answer that is under way."""
        if self._call is None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is still to be written."""
        self._transport.abort()

    # -- the reader's side -------------------------------------------------------------------

    def origin_of(self, call: HttpCall) -> str:
        """Return scheme and host as the caller addressed them."""
        scheme = "http"
        if call.header("x-forwarded-proto") == "https" and self._peer_is_local():
            scheme = "https"  # a proxy on this machine ends TLS
        host = call.header("host")
        if host is None:
            address, port = self._transport.get_extra_info("sockname")[:2]
            host = f"{address}:{port}"
        return f"{scheme}://{host}"

    def _peer_is_local(self) -> bool:
        return self._transport.get_extra_info("peername")[0] in _LOOPBACK

    def invite_body(self) -> None:
        """Send `100 Continue`, behind the answers that come before."""
        self._owes_continue = self._call is not None
        if not self._owes_continue:
            self._transport.write(_CONTINUE)

    @property
    def is_reading(self) -> bool:
        return self._check is None and self._dropping is None and not self._is_reading_paused

    def check_head(self, head: HttpCall, *, invites: bool) -> None:
        """Read on, and invite the body where that is asked for, once *head* may have a long one."""
        self._transport.pause_reading()
        self._check = self._shared.loop.create_task(self._check_head(head, invites=invites))

    async def _check_head(self, head: HttpCall, *, invites: bool) -> None:
        try:
            refusal = await self._shared.check(head)
        except Exception:  # noqa: BLE001  a defect of the host: the caller gets what Azure gives it
            _log.exception("the head of %s %s cannot be checked", head.method, head.path)
            refusal = _FAILED
        self._check = None
        if refusal is not None:
            self._reader.drop_body(refusal)
        elif invites:
            self.invite_body()
        self._read_on()

    def drop_slowly(self, size: int) -> None:
        """Go on reading once *size* bytes that were read for nothing have had their time."""
        if self._dropping is None:
            self._transport.pause_reading()
            delay_s = self._shared.delay_of_dropped(size)
            self._dropping = self._shared.loop.call_later(delay_s, self._end_of_delay)

    def _end_of_delay(self) -> None:
        self._dropping = None
        if not self._transport.is_closing():
            self._read_on()

    def _read_on(self) -> None:
        if self.is_reading:
            self._transport.resume_reading()

    def take(self, asked: HttpCall | HttpAnswer, *, keep_alive: bool) -> None:
        """Answer a call in its turn, or send the answer to what is no call."""
        self._owes_continue = False
        if self._call is None and not self._waiting:
            self._begin(asked, keep_alive=keep_alive)
        else:
            self._waiting.append((asked, keep_alive))
            self._is_reading_paused = True
            self._transport.pause_reading()

    # -- one answer after the other ----------------------------------------------------------

    def _begin(self, asked: HttpCall | HttpAnswer, *, keep_alive: bool) -> None:
        self._keeps_alive = keep_alive
        if isinstance(asked, HttpAnswer):
            self._write(asked)
            return
        shared = self._shared
        self._call = asked
        shared.answers.enter(self, shared.loop)
        self.task = shared.loop.create_task(self._answer(asked))

    async def _answer(self, call: HttpCall) -> None:
        try:
            answer = await self._shared.handle(call)
        except asyncio.CancelledError:  # the host stops, or the function has canceled itself
            self._answer_unless_late(call, _FAILED)
            raise
        except Exception:  # noqa: BLE001  a defect of the host: the caller gets what Azure gives it
            _log.exception("%s %s failed in the host", call.method, call.path)
            answer = _FAILED
        self._answer_unless_late(call, answer)

    def _answer_unless_late(self, call: HttpCall, answer: HttpAnswer) -> None:
        if self._call is call:
            self._write(answer)

    def answer_too_late(self) -> None:
        """Answer 502 now; the function runs on, and its answer is dropped."""
        assert self._call is not None, "only a call has a time limit"
        assert self.task is not None, "a call is answered by a task"
        _log.warning(
            "%s %s had no answer in %g s: Azure's load balancer would have given up; answer 202 and"
            " let the caller poll",
            self._call.method,
            self._call.path,
            self._shared.limits.answer_max_s,
        )
        self._shared.let_run(self.task)
        self._write(_TOO_LATE)

    def _write(self, answer: HttpAnswer) -> None:
        """Write the answer to the request whose turn it is, then go on."""
        shared, transport = self._shared, self._transport
        is_head = self._call is not None and self._call.method == "HEAD"
        self._call = self.task = None
        shared.answers.leave(self)
        keep_alive = self._keeps_alive and not shared.is_stopping
        now_s = shared.loop.time()
        try:
            head = shared.heads.head_of(answer, keep_alive=keep_alive, now_s=now_s)
        except ValueError:
            _log.exception("an answer cannot be sent")
            answer = _FAILED
            head = shared.heads.head_of(answer, keep_alive=keep_alive, now_s=now_s)
        body = answer.body
        if not body or is_head or answer.status in NO_BODY:
            transport.write(head)
        elif len(body) <= _JOINED_MAX_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        if keep_alive:
            self._go_on()
        else:
            transport.close()
            self._await_client()

    def _go_on(self) -> None:
        if self._is_writing_paused:
            self._await_client()
        elif self._waiting:
            asked, keep_alive = self._waiting.popleft()
            self._begin(asked, keep_alive=keep_alive)
        else:
            if self._is_reading_paused:
                self._is_reading_paused = False
                self._read_on()
            if self._owes_continue:
                self._owes_continue = False
                self._transport.write(_CONTINUE)
            self._await_client()

    def _await_client(self) -> None:
        """Abort unless the client sends, or reads, within the idle time."""
        self._shared.idle.enter(self, self._shared.loop)
