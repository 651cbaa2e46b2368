"""One queue or subscription of a Service Bus namespace, by the official asynchronous SDK."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from local_cloud.broker.message import Disposition, ReceivedMessage
from local_cloud.broker.receiver_link import ReceiverLink
from shared.messaging.received_messages import body_of, properties_of, text_of
from shared.messaging.service_bus_connection import WITHIN_S, translated_errors

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver

_WAIT_S: Final = 1.0
"""For a message; a host that stops waits as long."""
_ATTEMPTS: Final = 2
"""The first finds out that the link is gone, the second goes by a new one."""
OpensReceiver = Callable[["ServiceBusClient"], "ServiceBusReceiver"]


class NamespaceQueue:
    """Receives and settles; after a failure opened again by the next `receive`.

    Where messages are held then, it is the same receiver: another could not settle them.
    """

    def __init__(
        self, name: str, client: Callable[[], "ServiceBusClient"], opens: OpensReceiver
    ) -> None:
        """*name* is what errors call it."""
        self._name = name
        self._client = client
        self._opens = opens
        self._receiver: ServiceBusReceiver | None = None
        self._renewer: AutoLockRenewer | None = None
        self._opening = asyncio.Lock()
        self._held: dict[str, ServiceBusReceivedMessage] = {}

    async def receive(self, limit: int) -> Sequence[ReceivedMessage]:
        """Lock and return up to *limit* messages; empty when there are none for a second.

        Raises:
            Unavailable: the namespace is away, or this identity has not the role.
            NotFound: there is no such queue, topic or subscription.
        """
        try:
            async with translated_errors(self._name):
                receiver = await self._opened()
                messages = await receiver.receive_messages(limit, max_wait_time=_WAIT_S)
        except Exception:
            if not self._held:
                await self.close()
            raise
        received = [_received(each) for each in messages]
        self._held |= {
            ours.lock_token: theirs for ours, theirs in zip(received, messages, strict=True)
        }
        return received

    async def _opened(self) -> "ServiceBusReceiver":
        """Return the receiver with its link; a receive would have one second for that as well."""
        async with self._opening:
            self._receiver = self._receiver or self._opens(self._client())
            await self._receiver.__aenter__()
            return self._receiver

    def keep_renewed(self, message: ReceivedMessage, for_s: float) -> None:
        """Renew the lock for the next *for_s*, until the message is settled; a lost one is lost."""
        from azure.servicebus.aio import AutoLockRenewer  # noqa: PLC0415  heavy: where used

        if for_s > 0 and self._receiver is not None:
            self._renewer = self._renewer or AutoLockRenewer(on_lock_renew_failure=_ignore)
            held = self._held[message.lock_token]
            self._renewer.register(self._receiver, held, max_lock_renewal_duration=for_s)

    async def settle_all(
        self,
        messages: Sequence[ReceivedMessage],
        disposition: Disposition,
        *,
        refill: ReceiverLink | None = None,
    ) -> Sequence[ReceivedMessage]:
        """Settle one by one: a namespace settles no batch whole. Return those that were lost."""
        assert refill is None, "links belong to the host's own cloud"
        settled = await asyncio.gather(*(self._is_settled(each, disposition) for each in messages))
        return [each for each, is_settled in zip(messages, settled, strict=True) if not is_settled]

    async def _is_settled(self, message: ReceivedMessage, disposition: Disposition) -> bool:
        from azure.core.exceptions import AzureError  # noqa: PLC0415  heavy: where used

        held = self._held.get(message.lock_token)
        if held is None or self._receiver is None:
            return False
        try:
            async with asyncio.timeout(WITHIN_S):
                for _ in range(_ATTEMPTS):
                    with suppress(AzureError, OSError, ValueError):
                        receiver = await self._opened()
                        if disposition is Disposition.COMPLETE:
                            await receiver.complete_message(held)
                        else:  # a namespace counts the delivery of what is released unseen, too
                            await receiver.abandon_message(held)
                        return True
        except TimeoutError:
            return False
        finally:
            self._held.pop(message.lock_token, None)
        return False

    async def close(self) -> None:
        """Close the links; what is locked is delivered again when its lock has run out."""
        receiver, renewer = self._receiver, self._renewer
        self._receiver = self._renewer = None
        self._held.clear()
        if renewer is not None:
            await renewer.close()
        if receiver is not None:
            await receiver.close()


async def _ignore(_renewed: Any, _problem: Exception | None) -> None:
    """Do nothing: settling the message says that its lock was lost."""


def _received(message: "ServiceBusReceivedMessage") -> ReceivedMessage:
    expires_at = message.expires_at_utc if message.time_to_live is not None else None
    return ReceivedMessage(
        queue=0,
        sequence_number=message.sequence_number or 0,
        message_id=text_of(message.message_id),
        body=body_of(message),
        subject=text_of(message.subject),
        content_type=text_of(message.content_type),
        correlation_id=text_of(message.correlation_id),
        application_properties=properties_of(message),
        # AMQP counts the deliveries that failed; .NET, and so the trigger, all of them.
        delivery_count=(message.delivery_count or 0) + 1,
        enqueued_at=_epoch_s(message.enqueued_time_utc),
        expires_at=None if expires_at is None else _epoch_s(expires_at),
        locked_until=_epoch_s(message.locked_until_utc),
        lock_token=str(message.lock_token),
        dead_letter_reason=text_of(message.dead_letter_reason),
        dead_letter_description=text_of(message.dead_letter_error_description),
    )


def _epoch_s(instant: Any) -> float:
    return 0.0 if instant is None else float(instant.timestamp())
