"""A link on which a client receives: from a queue, a subscription or a dead-letter sub-queue.

Each message is locked for the client before it is sent; what was locked and not sent when the
client leaves, or takes its credit back, is released and does not count as a delivery. What was sent
stays locked until it is settled or the lock runs out, also by another connection.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from proton import Delivery, Link, Sender

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import Disposition, ReceivedMessage
from local_cloud.broker.receiver_link import ReceiverLink
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX
from local_cloud.service_bus_endpoint.conditions import condition_of, refusal_of
from local_cloud.service_bus_endpoint.message_codec import lock_token, with_changes, written

if TYPE_CHECKING:
    from local_cloud.service_bus_endpoint.connection import AmqpConnection

_LOCKED_MAX: Final = 100
"""Messages that are locked for a link and not sent yet, each of up to 256 KiB."""
_UNSETTLED_MAX: Final = 5000
"""Messages that a client has and did not settle; it gets no more until it does."""
_DEAD_LETTER: Final = "com.microsoft:dead-letter"
_REASONS: Final = ("DeadLetterReason", "DeadLetterErrorDescription")


class OutgoingLink:
    """Sends messages as long as the client gives credit."""

    def __init__(
        self, connection: "AmqpConnection", sender: Sender, broker: Broker, path: str
    ) -> None:
        """Raises NotFound where there is no queue or subscription *path*."""
        self._connection = connection
        self._sender = sender
        self._broker = broker
        self._path = path
        self._source = (
            path.removesuffix(DEAD_LETTER_SUFFIX) if path.endswith(DEAD_LETTER_SUFFIX) else ""
        )
        self._link: ReceiverLink = broker.open_link(path)
        self._unsettled: dict[Delivery, ReceivedMessage] = {}
        self._is_open = True
        self._deletes = sender.remote_snd_settle_mode == Link.SND_SETTLED
        connection.spawn(self._serve())

    def notify(self) -> None:
        """Look again: the client gave credit, or the connection takes bytes again."""
        self._link.changed.set()

    def close(self) -> None:
        """Send nothing more; release what the client has not got."""
        if self._is_open:
            self._is_open = False
            self._broker.close_link(self._link)
            self._unsettled.clear()
            self._link.changed.set()

    async def _serve(self) -> None:
        try:
            while self._is_open:
                self._link.changed.clear()
                await self._fill()
                if self._is_open:
                    await self._link.changed.wait()
        except Exception as problem:  # noqa: BLE001  the client attaches again
            self._connection.links.detach(self._sender, refusal_of(problem))
        finally:
            self.close()
            await self._release_all()

    async def _fill(self) -> None:
        """Send what was handed over, and lock more, until the credit or the queue is used up."""
        link = self._link
        while self._is_open:
            await self._send_handed()
            if not self._is_open:
                return
            if not self._connection.takes_bytes(self._sender.session):
                self._connection.notify_when_writable(self)
                return
            places = self._places()
            if not places and link.messages:
                await self._release_handed()
            places = max(0, places - len(link.messages))
            link.grant_credit(places)
            room = places - link.expected
            if room <= 0 or not link.has_backlog:
                self._drain()
                return
            await self._lock(room)

    def _places(self) -> int:
        """Return how many more messages the client takes."""
        unsettled = _UNSETTLED_MAX - len(self._unsettled)
        return max(0, min(self._sender.credit, unsettled, _LOCKED_MAX))

    async def _lock(self, room: int) -> None:
        link = self._link
        link.has_backlog = False
        link.expect(room)
        locked: Sequence[ReceivedMessage] = ()
        try:
            locked = await self._locked(room)
        finally:
            link.fill(locked, expected=room)

    async def _locked(self, room: int) -> Sequence[ReceivedMessage]:
        """Lock and return up to *room* messages."""
        return await self._broker.lock(self._path, room)

    async def _send_handed(self) -> None:
        """Send what is locked, as far as credit and the connection's buffers go."""
        messages = self._link.messages
        while self._is_open and messages and self._places():
            if not self._connection.takes_bytes(self._sender.session):
                break
            if self._deletes:
                await self._delete_and_send()
            else:
                self._send(messages.popleft())
        self._connection.flush_soon()

    async def _delete_and_send(self) -> None:
        """Send as many as there is credit for, each deleted before: at most once."""
        taken = [
            self._link.messages.popleft()
            for _ in range(min(len(self._link.messages), self._places()))
        ]
        lost = {
            each.sequence_number
            for each in await self._broker.settle_all(taken, Disposition.COMPLETE)
        }
        for message in taken:
            if self._is_open and message.sequence_number not in lost:
                self._send(message)

    def _send(self, message: ReceivedMessage) -> None:
        delivery = self._sender.delivery(lock_token(message).bytes_le)  # type: ignore[arg-type]  # or bytes
        self._sender.stream(written(message, self._source))
        self._sender.advance()
        if self._deletes:
            delivery.settle()
        else:
            self._unsettled[delivery] = message

    def _drain(self) -> None:
        """Use up the credit of a client that asks what there is now, once that is sent."""
        if self._sender.drain_mode and not (self._link.expected or self._link.messages):
            self._sender.drained()
            self._connection.flush_soon()

    async def _release_handed(self) -> None:
        given = list(self._link.messages)
        self._link.messages.clear()
        if given:
            await self._broker.settle_all(given, Disposition.RELEASE)

    async def _release_all(self) -> None:
        """Release what was handed over, and what is still in transit."""
        while self._link.expected or self._link.messages:
            self._link.changed.clear()
            await self._release_handed()
            if self._link.expected:
                await self._link.changed.wait()

    # Settlement

    def on_delivery(self, delivery: Delivery, _message_format: int) -> None:
        """Do what the client says of a message that it got."""
        message = self._unsettled.pop(delivery, None)
        if message is None:
            delivery.settle()
        elif delivery.remote_state or delivery.settled:
            self._connection.spawn(self._settle(delivery, message))
        else:
            self._unsettled[delivery] = message

    async def _settle(self, delivery: Delivery, message: ReceivedMessage) -> None:
        refusal = None
        outcome = delivery.remote_state
        try:
            await self._apply(delivery, message)
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            refusal = refusal_of(problem)
        if self._connection.links.is_closed(self._sender):
            return
        if refusal is not None:
            delivery.local.condition = condition_of(refusal)
            delivery.update(Delivery.REJECTED)
        elif outcome:
            delivery.update(outcome)
        delivery.settle()
        self.notify()
        self._connection.flush_soon()

    async def _apply(self, delivery: Delivery, message: ReceivedMessage) -> None:
        broker, remote = self._broker, delivery.remote
        match delivery.remote_state:
            case Delivery.ACCEPTED:
                await broker.complete(message)
            case Delivery.REJECTED:
                reason, description = _dead_letter_reason(remote.condition)
                changed = with_changes(message, _changes(remote.condition))
                await broker.dead_letter(changed, reason, description)
            case Delivery.MODIFIED if remote.undeliverable:
                await broker.defer(with_changes(message, remote.annotations))
            case Delivery.MODIFIED:
                await broker.abandon(with_changes(message, remote.annotations))
            case _:
                # Released, or settled without an outcome, which means the same.
                await broker.release(message)


def _dead_letter_reason(condition: Any) -> tuple[str, str]:
    """Return reason and description of a rejection, by any client."""
    if condition is None:
        return "", ""
    if condition.name != _DEAD_LETTER:
        return condition.name, condition.description or ""
    info = condition.info or {}
    return (
        str(info.get("DeadLetterReason") or ""),
        str(info.get("DeadLetterErrorDescription") or condition.description or ""),
    )


def _changes(condition: Any) -> dict[str, Any]:
    """Return the properties that a rejection changes, besides its reason."""
    info = (
        (condition.info or {}) if condition is not None and condition.name == _DEAD_LETTER else {}
    )
    return {str(key): value for key, value in info.items() if key not in _REASONS}
