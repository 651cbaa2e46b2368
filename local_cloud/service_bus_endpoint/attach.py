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
from local_cloud.service_bus_endpoint.tokens import Permits, path_of
from shared.kernel.errors import NotFound

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

_TOKENS: Final = "$cbs"
_SESSION_FILTER: Final = "com.microsoft:session-filter"


def node_of(link: Link) -> str:
    """Return the path of the node that *link* is to: what it sends to, or receives from."""
    terminus = link.remote_source if link.is_sender else link.remote_target
    return path_of(terminus.address or "")


def accept(connection: "AmqpConnection", link: Link) -> IncomingLink | OutgoingLink | None:
    """Return what serves *link*; None where answers go. Raises what refuses it."""
    node = node_of(link)
    check(connection.permits, link)
    if isinstance(link, Receiver):
        return _incoming(connection, link, node)
    if node == _TOKENS or node.endswith(PATH_SUFFIX):
        return None
    assert isinstance(link, Sender)
    _refuse_filters(link)
    return OutgoingLink(connection, link, connection.namespace.broker, node)


def check(permits: Permits, link: Link) -> None:
    """Raise Unauthenticated unless the tokens that are in force allow *link*."""
    node = node_of(link)
    if node.endswith(PATH_SUFFIX):
        permits.check(node, *Right)
    elif node != _TOKENS:
        permits.check(node, Right.SEND if isinstance(link, Receiver) else Right.LISTEN)


def _incoming(connection: "AmqpConnection", link: Receiver, node: str) -> IncomingLink:
    if link.remote_target.type == Terminus.COORDINATOR:
        raise AmqpRefused(NOT_IMPLEMENTED, "transactions are not served here")
    reply = partial(connection.reply, link)
    if node == _TOKENS:
        return IncomingLink(connection, link, token_requests(connection.put_token, reply))
    if node.endswith(PATH_SUFFIX):
        broker, entropy = connection.namespace.broker, connection.namespace.entropy
        management = Management(broker, node.removesuffix(PATH_SUFFIX), entropy)
        check_right = partial(connection.permits.check, node)
        return IncomingLink(connection, link, management_requests(management, check_right, reply))
    return _sending(connection, link, node)


def _sending(connection: "AmqpConnection", link: Receiver, node: str) -> IncomingLink:
    broker, entropy = connection.namespace.broker, connection.namespace.entropy
    if broker.kind_of(node) is None:
        raise NotFound(f"no queue or topic is called {node[:160]!r}")

    async def take(encoded: bytes, message_format: int) -> None:
        is_batch = message_format == BATCH_FORMAT
        read = read_batch(encoded, entropy) if is_batch else [read_message(encoded, entropy)]
        await broker.send(node, read)

    return IncomingLink(connection, link, take)


def _refuse_filters(link: Sender) -> None:
    filters: Any = link.remote_source.filter
    filters.rewind()
    asked = filters.get_object() if filters.next() is not None else None
    if isinstance(asked, dict) and _SESSION_FILTER in asked:
        raise AmqpRefused(
            NOT_ALLOWED,
            "a session receiver needs an entity that requires sessions; none does here",
        )
    if isinstance(asked, dict) and asked:
        names = ", ".join(sorted(str(name) for name in asked))
        raise AmqpRefused(NOT_IMPLEMENTED, f"filters of a receiver are not served here: {names}")
