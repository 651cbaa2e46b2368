"""A link on which a client receives the messages of one session, which it has locked.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from proton import Described, Link, Sender, symbol

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import ReceivedMessage
from local_cloud.broker.sessions import Session
from local_cloud.service_bus_endpoint.conditions import SESSION_LOST, AmqpRefused
from local_cloud.service_bus_endpoint.outgoing_link import OutgoingLink

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

FILTER: Final = "com.microsoft:session-filter"
_TIMEOUT: Final = "com.microsoft:timeout"
_LOCKED_UNTIL: Final = "com.microsoft:locked-until-utc"
_WAIT_S: Final = 60.0
_WAIT_MAX_S: Final = 600.0
_YEAR_ONE: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_TICKS_A_SECOND: Final = 10_000_000


@dataclass(frozen=True)
class SessionAsked:
    """The session that a client asks for; `name` None: the next one that is free."""

    name: str | None
    wait_s: float
    descriptor: Any
    """By which the client described the filter's value, if it did: it reads the answer so too."""


def session_asked(link: Link, filters: dict[Any, Any]) -> SessionAsked | None:
    """Return the session that *link* asks for; None when it asks for none."""
    if FILTER not in filters:
        return None
    value = filters[symbol(FILTER)]
    descriptor = value.descriptor if isinstance(value, Described) else None
    name = value.value if isinstance(value, Described) else value
    properties = link.remote_properties or {}
    milliseconds = properties.get(symbol(_TIMEOUT))
    wait_s = _WAIT_S if milliseconds is None else float(milliseconds) / 1000
    return SessionAsked(
        None if name is None else str(name), min(max(0.0, wait_s), _WAIT_MAX_S), descriptor
    )


def tell_session(link: Link, session: Session, asked: SessionAsked, locked_until: float) -> None:
    """Write into the attach that answers which session it is, and how long it is locked."""
    told: Any = session.name
    if asked.descriptor is not None:
        told = Described(asked.descriptor, session.name)
    link.source.filter.clear()
    link.source.filter.put_object({symbol(FILTER): told})
    ticks = round((locked_until - _YEAR_ONE) * _TICKS_A_SECOND)
    link.properties = {symbol(_LOCKED_UNTIL): ticks}


class SessionLink(OutgoingLink):
    """Sends messages of its session in their order; the session ends with the link."""

    def __init__(
        self,
        connection: "AmqpConnection",
        sender: Sender,
        broker: Broker,
        path: str,
        session: Session,
    ) -> None:
        self._session = session
        session.on_lost = self._lose
        super().__init__(connection, sender, broker, path)

    def _lose(self) -> None:
        description = f"the lock of session {self._session.name[:128]!r} has run out"
        self._connection.links.detach(self._sender, AmqpRefused(SESSION_LOST, description, 410))

    async def _locked(self, room: int) -> Sequence[ReceivedMessage]:
        return await self._broker.sessions.lock_messages(self._session, room)

    async def _release_all(self) -> None:
        await super()._release_all()
        await self._broker.sessions.release(self._session)
