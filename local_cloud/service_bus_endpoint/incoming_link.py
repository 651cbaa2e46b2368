"""A link on which a client sends: messages to an entity, or requests to a node.

A message is acknowledged when what it asks for is done. Credit bounds how many are under way, the
connection how many bytes.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from proton import Delivery, Receiver

from local_cloud.broker.message import MESSAGE_MAX_BYTES
from local_cloud.service_bus_endpoint.conditions import condition_of, refusal_of
from shared.kernel.errors import TooLarge

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

_CREDIT: Final = 100
_READ_BYTES: Final = 64 * 1024
Take = Callable[[bytes, int], Awaitable[None]]
"""Does what a message of a message format asks for. Raises what refuses it."""


class IncomingLink:
    """Collects deliveries and settles each by what *take* says to it."""

    def __init__(self, connection: "AmqpConnection", receiver: Receiver, take: Take) -> None:
        """Grant credit."""
        self._connection = connection
        self._receiver = receiver
        self._take = take
        self._content = bytearray()
        self._format: int | None = None
        """That of the delivery that is being read; None between two."""
        self._is_too_large = False
        receiver.max_message_size = MESSAGE_MAX_BYTES
        receiver.flow(_CREDIT)

    def on_delivery(self, delivery: Delivery, message_format: int) -> None:
        """Read what came; *message_format* is that of the frame that brought it."""
        if self._format is None:
            self._format = message_format
        self._read()
        if delivery.aborted:
            delivery.settle()
            self._begin_next()
        elif not delivery.partial:
            content = None if self._is_too_large else bytes(self._content)
            work = self._finish(delivery, content, self._format)
            self._receiver.advance()
            self._begin_next()
            self._connection.hold(len(content or b""))
            self._connection.spawn(work)

    def _read(self) -> None:
        while part := self._receiver.recv(_READ_BYTES):
            if len(self._content) + len(part) > MESSAGE_MAX_BYTES:
                self._is_too_large = True
                self._content.clear()
            elif not self._is_too_large:
                self._content += part

    def _begin_next(self) -> None:
        self._content.clear()
        self._format, self._is_too_large = None, False

    async def _finish(self, delivery: Delivery, content: bytes | None, message_format: int) -> None:
        refusal = None
        try:
            await self._take_checked(content, message_format)
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            refusal = refusal_of(problem)
        self._connection.release(len(content or b""))
        if self._connection.links.is_closed(self._receiver):
            return
        if refusal is None:
            delivery.update(Delivery.ACCEPTED)
        else:
            delivery.local.condition = condition_of(refusal)
            delivery.update(Delivery.REJECTED)
        delivery.settle()
        self._receiver.flow(1)
        self._connection.flush_soon()

    async def _take_checked(self, content: bytes | None, message_format: int) -> None:
        """Take a message, unless it was too large or the token for it has ended."""
        if content is None:
            raise TooLarge(f"a message has at most {MESSAGE_MAX_BYTES} bytes")
        self._connection.links.check(self._receiver)
        await self._take(content, message_format)

    def notify(self) -> None:
        """Nothing waits here for a client's flow."""

    def close(self) -> None:
        """Nothing is held for a client that is gone; what is under way ends by itself."""
