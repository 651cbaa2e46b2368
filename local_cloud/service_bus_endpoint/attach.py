"""What a link that a client asks for is to be: by its address, or a refusal."""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from proton import Link, Receiver, Sender, Terminus

from local_cloud.service_bus_endpoint.authorization import Right
from local_cloud.service_bus_endpoint.conditions import (
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    AmqpRefused,
)
from local_cloud.service_bus_endpoint.frames import BATCH_FORMAT
from local_cloud.service_bus_endpoint.incoming_link import IncomingLink
from local_cloud.service_bus_endpoint.management import PATH_SUFFIX, Management
from local_cloud.service_bus_endpoint.message_codec import read_batch, read_message
from local_cloud.service_bus_endpoint.outgoing_link import OutgoingLink
from local_cloud.service_bus_endpoint.requests import management_requests, token_requests
from local_cloud.service_bus_endpoint.session_link import (
    FILTER,
    SessionAsked,
    SessionLink,
    session_asked,
    tell_session,
)
from local_cloud.service_bus_endpoint.tokens import Grants, path_of

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

_TOKENS: Final = "$cbs"


def node_of(link: Link) -> str:
    """Return the path of the node that *link* is to: what it sends to, or receives from."""
    terminus = link.remote_source if link.is_sender else link.remote_target
    return path_of(terminus.address or "")


def accept(
    connection: "AmqpConnection", link: Link
) -> IncomingLink | OutgoingLink | SessionAsked | None:
    """Return what serves *link*; None where answers go. Raises what refuses it.

    A session that is asked for is still to be waited for.
    """
    node = node_of(link)
    if link.remote_target.type == Terminus.COORDINATOR:
        raise AmqpRefused(NOT_IMPLEMENTED, "transactions are not served here")
    check(connection.grants, link)
    if isinstance(link, Receiver):
        return _incoming(connection, link, node)
    if node == _TOKENS or node.endswith(PATH_SUFFIX):
        return None
    assert isinstance(link, Sender)
    asked = _session_asked(link)
    requires_session = connection.namespace.broker.requires_session(node)
    if asked is not None and requires_session:
        return asked
    if asked is not None:
        raise AmqpRefused(
            NOT_ALLOWED, "a session receiver needs an entity that requires sessions; this does not"
        )
    if requires_session:
        raise AmqpRefused(
            NOT_ALLOWED,
            "It is not possible for an entity that requires sessions to create a non-sessionful"
            " message receiver.",
        )
    return OutgoingLink(connection, link, connection.namespace.broker, node)


async def accept_session(
    connection: "AmqpConnection", link: Sender, asked: SessionAsked
) -> OutgoingLink | None:
    """Wait for the session that *link* asks for, and return what serves it; None when it is gone.

    Raises what refuses it.
    """
    broker, node = connection.namespace.broker, node_of(link)
    session = await broker.sessions.accept(node, asked.name, asked.wait_s)
    if connection.links.is_closed(link):
        await broker.sessions.release(session)
        return None
    tell_session(link, session, asked, broker.sessions.locked_until(session))
    return SessionLink(connection, link, broker, node, session)


def check(grants: Grants, link: Link) -> None:
    """Raise Unauthenticated unless the tokens that are in force allow *link*."""
    node = node_of(link)
    if node.endswith(PATH_SUFFIX):
        grants.check(node, *Right)
    elif node != _TOKENS:
        grants.check(node, Right.SEND if isinstance(link, Receiver) else Right.LISTEN)


def _incoming(connection: "AmqpConnection", link: Receiver, node: str) -> IncomingLink:
    reply = partial(connection.links.reply, link)
    if node == _TOKENS:
        return IncomingLink(connection, link, token_requests(connection.put_token, reply))
    if node.endswith(PATH_SUFFIX):
        broker, entropy = connection.namespace.broker, connection.namespace.entropy
        management = Management(broker, node.removesuffix(PATH_SUFFIX), entropy)
        check_right = partial(connection.grants.check, node)
        return IncomingLink(connection, link, management_requests(management, check_right, reply))
    return _sending(connection, link, node)


def _sending(connection: "AmqpConnection", link: Receiver, node: str) -> IncomingLink:
    broker, entropy = connection.namespace.broker, connection.namespace.entropy
    broker.check_sender(node)

    async def take(encoded: bytes, message_format: int) -> None:
        is_batch = message_format == BATCH_FORMAT
        read = read_batch(encoded, entropy) if is_batch else [read_message(encoded, entropy)]
        await broker.send(node, read)

    return IncomingLink(connection, link, take)


def _session_asked(link: Sender) -> SessionAsked | None:
    """Return the session that *link* asks for by a filter; refuse other filters."""
    data: Any = link.remote_source.filter
    data.rewind()
    filters = data.get_object() if data.next() is not None else None
    if not isinstance(filters, dict):
        return None
    others = sorted(str(name) for name in filters if name != FILTER)
    if others:
        names = ", ".join(others)
        raise AmqpRefused(NOT_IMPLEMENTED, f"filters of a receiver are not served here: {names}")
    return session_asked(link, filters)
