"""The links of one connection: attached, refused, waited for, answered on, and ended."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from proton import Link, Sender, Session, Terminus

from local_cloud.service_bus_endpoint import attach
from local_cloud.service_bus_endpoint.conditions import (
    LIMIT_EXCEEDED,
    AmqpRefused,
    condition_of,
    refusal_of,
)
from local_cloud.service_bus_endpoint.incoming_link import IncomingLink
from local_cloud.service_bus_endpoint.outgoing_link import OutgoingLink
from local_cloud.service_bus_endpoint.requests import answers_to
from local_cloud.service_bus_endpoint.session_link import SessionAsked
from shared.kernel.errors import Unauthenticated

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

LINKS_MAX: Final = 1000


class LinkTable:
    """What serves each link. A link has no handler where answers go, and while it waits."""

    def __init__(self, connection: "AmqpConnection") -> None:
        self._connection = connection
        self._handlers: dict[Link, IncomingLink | OutgoingLink | None] = {}
        self._waiting: dict[Link, asyncio.Task[None]] = {}
        """What waits for a session, by its link."""
        self._attached: set[Link] = set()
        """Links that the client has not closed, those that were refused among them."""

    def handler(self, link: Link) -> IncomingLink | OutgoingLink | None:
        return self._handlers.get(link)

    def is_closed(self, link: Link) -> bool:
        """Return whether *link* is gone, so that nothing may be said on it."""
        return self._connection.is_lost or link not in self._handlers

    # Attaching

    def open(self, link: Link) -> bool:
        """Answer the attach of *link*; return False when the client has far too many."""
        self._attached.add(link)
        if len(self._attached) > 2 * LINKS_MAX:
            return False
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        try:
            accepted = self._accepted(link)
            if isinstance(accepted, SessionAsked):
                assert isinstance(link, Sender)
                self._handlers[link] = None
                work = self._accept_session(link, accepted)
                self._waiting[link] = self._connection.spawn(work)
            else:
                self._handlers[link] = accepted
                link.open()
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            _refuse(link, problem)
        return True

    def _accepted(self, link: Link) -> IncomingLink | OutgoingLink | SessionAsked | None:
        if len(self._handlers) >= LINKS_MAX:
            raise AmqpRefused(LIMIT_EXCEEDED, f"a connection has at most {LINKS_MAX} links")
        return attach.accept(self._connection, link)

    async def _accept_session(self, link: Sender, asked: SessionAsked) -> None:
        try:
            accepted = await attach.accept_session(self._connection, link, asked)
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            if not self.is_closed(link):
                del self._handlers[link]
                _refuse(link, problem)
        else:
            if accepted is not None:
                self._handlers[link] = accepted
                link.open()
        finally:
            self._waiting.pop(link, None)
            self._connection.flush_soon()

    def check(self, link: Link) -> None:
        """Raise Unauthenticated unless the tokens that are in force allow *link*."""
        attach.check(self._connection.grants, link)

    # Answering

    def reply(self, link: Link, reply_to: Any, encoded: bytes) -> None:
        """Send an answer on the link of the same node and session where answers go."""
        if self._connection.is_lost:
            return
        node = attach.node_of(link)
        for other, handler in self._handlers.items():
            if (
                handler is None
                and isinstance(other, Sender)
                and attach.node_of(other) == node
                and other.session == link.session
                and answers_to(other, reply_to)
            ):
                self._answer_on(other, encoded)
                return

    def _answer_on(self, sender: Sender, encoded: bytes) -> None:
        if sender.queued > LINKS_MAX:
            self.detach(sender, AmqpRefused(LIMIT_EXCEEDED, "answers are not read"))
            return
        tag = self._connection.namespace.entropy.uuid().bytes
        delivery = sender.delivery(tag)  # type: ignore[arg-type]  # or bytes
        sender.stream(encoded)
        sender.advance()
        delivery.settle()
        self._connection.flush_soon()

    # Ending

    def detach(self, link: Link, refusal: AmqpRefused) -> None:
        """Close *link* with a reason."""
        if not self.is_closed(link):
            self.forget(link)
            link.condition = condition_of(refusal)
            link.close()
            self._connection.flush_soon()

    def end_expired(self) -> None:
        """Detach the links that no token that is in force allows any more, as Service Bus does."""
        for link in list(self._handlers):
            try:
                self.check(link)
            except Unauthenticated as refused:
                self.detach(link, refusal_of(refused))

    def close(self, link: Link) -> None:
        """Close *link*, which the client has closed."""
        self.forget(link)
        self._attached.discard(link)
        link.close()
        link.free()

    def forget(self, link: Link) -> None:
        """Serve *link* no more."""
        handler = self._handlers.pop(link, None)
        if handler is not None:
            handler.close()
        if link in self._waiting:
            self._waiting[link].cancel()

    def forget_session(self, session: Session) -> None:
        """Serve no link of an AMQP session that has ended."""
        for link in [each for each in self._attached if each.session == session]:
            self.forget(link)
            self._attached.discard(link)

    def forget_all(self) -> None:
        """Serve none: the connection is lost."""
        for link in [*self._handlers]:
            self.forget(link)
        self._attached.clear()


def _refuse(link: Link, problem: Exception) -> None:
    # An attach without source and target says that it is refused; the reason follows. With
    # them pyamqp sends at once, and tells its caller of an unknown error.
    link.source.type = link.target.type = Terminus.UNSPECIFIED
    link.open()
    link.condition = condition_of(refusal_of(problem))
    link.close()
