"""One AMQP connection: proton's engine between asyncio's transport and the links.

The engine knows the protocol and does no I/O. Everything runs on the event loop: what came is
pushed into it frame by frame, its events are handed to links, and what it wants to send is written
as long as asyncio takes it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from proton import (
    Collector,
    Connection,
    Endpoint,
    Event,
    ProtonException,
    Receiver,
    Session,
    Transport,
)

from local_cloud.service_bus_endpoint.conditions import (
    LIMIT_EXCEEDED,
    AmqpRefused,
    condition_of,
)
from local_cloud.service_bus_endpoint.frames import FRAME_MAX_BYTES, Frames, message_format
from local_cloud.service_bus_endpoint.link_table import LINKS_MAX, LinkTable
from local_cloud.service_bus_endpoint.outgoing_link import OutgoingLink
from local_cloud.service_bus_endpoint.served_namespace import ServedNamespace
from local_cloud.service_bus_endpoint.tokens import Grants
from shared.kernel.errors import Refused

_log = logging.getLogger(__name__)
CONNECTIONS_MAX: Final = 1000
"""As in Service Bus for a namespace of this tier."""
_SESSIONS_MAX: Final = 255
_OPEN_WITHIN_S: Final = 30.0
_IDLE_MAX_S: Final = 240.0
"""A connection on which nothing came for so long is closed; a client is told half of it."""
_TURN_S: Final = 0.02
"""How long one connection may keep the event loop with what it sent at once."""
_SESSION_BYTES: Final = 1024 * 1024
_TASK_BYTES: Final = 2048
"""What a message costs besides its content while it is being stored."""
_HELD_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of messages that are being stored; nothing more is read meanwhile."""


class AmqpConnection(asyncio.Protocol):
    """Made by asyncio for each client."""

    def __init__(self, namespace: ServedNamespace) -> None:
        self.namespace = namespace
        self.grants = Grants(namespace.key, namespace.authorization, namespace.clock)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing of this connection runs any more."""
        self.links = LinkTable(self)
        self._blocked: set[OutgoingLink] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frames = Frames()
        self._format = 0
        self._held_bytes = 0
        self.is_lost = False
        """Whether nothing can be said any more."""
        self._is_paused = self._is_over = self._flushes = False
        self._is_behind = self._is_waiting = False
        self._timers: list[asyncio.TimerHandle] = []
        self._engine = Transport(Transport.SERVER)
        self._connection = Connection()
        self._collector = Collector()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the class.
        self._wire = cast("asyncio.Transport", transport)
        if len(self.namespace.connections) >= CONNECTIONS_MAX:
            _log.warning("a connection was refused: there are %d", CONNECTIONS_MAX)
            self._wire.abort()
        self.namespace.connections.add(self)
        self._engine.max_frame_size = FRAME_MAX_BYTES
        self._engine.channel_max = _SESSIONS_MAX
        self._engine.idle_timeout = _IDLE_MAX_S
        self._engine.sasl().allowed_mechs("ANONYMOUS")
        self._connection.container = "local-service-bus"
        self._connection.collect(self._collector)
        self._engine.bind(self._connection)
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(_OPEN_WITHIN_S, self._expect_open))

    def _expect_open(self) -> None:
        if not self._connection.state & Endpoint.LOCAL_ACTIVE:
            self._wire.abort()

    def data_received(self, data: bytes) -> None:
        self._frames.add(data)
        if not self._is_behind:
            self._take_frames()

    def _take_frames(self) -> None:
        """Take what came, for a moment; the rest in another round of the loop, which all share."""
        self._is_behind = False
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _TURN_S
        try:
            while not self.is_lost and (frame := self._frames.next()) is not None:
                self._format = message_format(frame)
                self._push(frame)
                self._react()
                if loop.time() > ends_s:
                    self._is_behind = True
                    loop.call_soon(self._take_frames)
                    break
        except (Refused, ProtonException) as problem:
            _log.warning("an AMQP connection sent what is no AMQP, and is closed: %s", problem)
            self._wire.abort()
            return
        self._read_or_wait()
        self.flush()

    def _read_or_wait(self) -> None:
        """Read on, unless frames or messages that came are to be worked off first."""
        if self.is_lost:
            return
        waits = self._is_behind or self._held_bytes > _HELD_MAX_BYTES
        if waits and not self._is_waiting:
            self._wire.pause_reading()
        elif self._is_waiting and not waits:
            self._wire.resume_reading()
        self._is_waiting = waits

    def _push(self, frame: bytes) -> None:
        at = 0
        while at < len(frame):
            capacity = self._engine.capacity()
            if capacity <= 0:
                return
            self._engine.push(frame[at : at + capacity])
            at += capacity

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self.flush()

    def connection_lost(self, _problem: Exception | None) -> None:
        self.is_lost = True
        for timer in self._timers:
            timer.cancel()
        self.links.forget_all()
        self._blocked.clear()
        if not self._tasks:
            self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self.namespace.connections.discard(self)
            self._engine.unbind()
            self._connection.free()

    def abort(self) -> None:
        """Cut the connection."""
        self._wire.abort()

    # What links use

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run *work* beside the connection, which is not over before it is."""
        task = asyncio.create_task(work, name="amqp")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("work of an AMQP connection failed", exc_info=problem)
        if self.is_lost and not self._tasks:
            self._end()

    def hold(self, size: int) -> None:
        """Take note of *size* bytes that are being stored; read no more when they are many."""
        self._held_bytes += size + _TASK_BYTES
        self._read_or_wait()

    def release(self, size: int) -> None:
        self._held_bytes -= size + _TASK_BYTES
        self._read_or_wait()

    def takes_bytes(self, session: Session) -> bool:
        """Return whether messages may be sent now: the client reads what it gets."""
        return not self._is_paused and session.outgoing_bytes < _SESSION_BYTES

    def notify_when_writable(self, link: OutgoingLink) -> None:
        self._blocked.add(link)
        self.flush_soon()

    async def put_token(self, token: str, name: str) -> None:
        """Take note of a token. Raises Unauthenticated, Unavailable."""
        self.namespace.expect_end(await self.grants.put(token, name))

    def flush_soon(self) -> None:
        """Write what there is once the loop's present round is over: many links share it."""
        if not self._flushes and not self.is_lost:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flushes = False
        self.flush()

    def flush(self) -> None:
        """Handle what happened, and write what asyncio takes."""
        if self.is_lost:
            return
        self._react()
        engine = self._engine
        while not self._is_paused and (pending := engine.pending()) > 0:
            part = engine.peek(min(pending, FRAME_MAX_BYTES)) or b""
            self._wire.write(bytes(part))
            engine.pop(len(part))
        if engine.pending() < 0 or (self._is_over and not self._is_paused):
            self._wire.close()
        elif not self._is_paused and self._blocked:
            blocked, self._blocked = self._blocked, set()
            for link in blocked:
                link.notify()

    # The engine's side

    def _react(self) -> None:
        while (event := self._collector.peek()) is not None:
            handle = _HANDLERS.get(event.type)
            if handle is not None:
                handle(self, event)
            self._collector.pop()

    def _on_open(self, _event: Event) -> None:
        self._connection.open()
        self._tick()

    def _tick(self) -> None:
        """Let the engine send an empty frame, or find that the client is silent for too long."""
        loop = asyncio.get_running_loop()
        next_s = self._engine.tick(loop.time())
        self.flush_soon()
        if next_s and not self.is_lost:
            self._timers = [loop.call_at(next_s, self._tick)]

    def _on_close(self, _event: Event) -> None:
        self._connection.close()

    def _on_session_open(self, event: Event) -> None:
        session = event.session
        assert session is not None
        session.incoming_capacity = _SESSION_BYTES
        session.open()

    def _on_session_close(self, event: Event) -> None:
        session = event.session
        assert session is not None
        self.links.forget_session(session)
        session.close()
        session.free()

    def _on_link_open(self, event: Event) -> None:
        assert event.link is not None
        if not self.links.open(event.link) and not self._is_over:
            _log.warning("an AMQP connection attached links on and on, and is closed")
            refusal = AmqpRefused(LIMIT_EXCEEDED, f"a connection has at most {LINKS_MAX} links")
            self._connection.condition = condition_of(refusal)
            self._connection.close()
            self._is_over = True

    def _on_link_close(self, event: Event) -> None:
        assert event.link is not None
        self.links.close(event.link)

    def _on_link_detach(self, event: Event) -> None:
        assert event.link is not None
        self.links.forget(event.link)
        event.link.detach()

    def _on_flow(self, event: Event) -> None:
        handler = self.links.handler(event.link) if event.link is not None else None
        if handler is not None:
            handler.notify()

    def _on_delivery(self, event: Event) -> None:
        delivery, link = event.delivery, event.link
        assert delivery is not None
        assert link is not None
        handler = self.links.handler(link)
        if handler is not None:
            handler.on_delivery(delivery, self._format)
            return
        if isinstance(link, Receiver):
            # Sent to a link that was refused or detached: nothing of it is kept.
            while link.recv(FRAME_MAX_BYTES):
                pass
            if not delivery.partial:
                link.advance()
        delivery.settle()

    def _on_over(self, _event: Event) -> None:
        """Nothing more is read: the client has closed, or sent what is no AMQP."""
        self._is_over = True
        if self._engine.condition is not None:
            _log.info("an AMQP connection is closed: %s", self._engine.condition)


_HANDLERS: Final[dict[Any, Callable[[AmqpConnection, Event], None]]] = {
    Event.CONNECTION_REMOTE_OPEN: AmqpConnection._on_open,  # noqa: SLF001  this module's table
    Event.CONNECTION_REMOTE_CLOSE: AmqpConnection._on_close,  # noqa: SLF001
    Event.SESSION_REMOTE_OPEN: AmqpConnection._on_session_open,  # noqa: SLF001
    Event.SESSION_REMOTE_CLOSE: AmqpConnection._on_session_close,  # noqa: SLF001
    Event.LINK_REMOTE_OPEN: AmqpConnection._on_link_open,  # noqa: SLF001
    Event.LINK_REMOTE_CLOSE: AmqpConnection._on_link_close,  # noqa: SLF001
    Event.LINK_REMOTE_DETACH: AmqpConnection._on_link_detach,  # noqa: SLF001
    Event.LINK_FLOW: AmqpConnection._on_flow,  # noqa: SLF001
    Event.DELIVERY: AmqpConnection._on_delivery,  # noqa: SLF001
    Event.TRANSPORT_ERROR: AmqpConnection._on_over,  # noqa: SLF001
    Event.TRANSPORT_TAIL_CLOSED: AmqpConnection._on_over,  # noqa: SLF001
}
