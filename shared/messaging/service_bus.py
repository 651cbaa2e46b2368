"""Sends to one Service Bus namespace by the official asynchronous SDK."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.errors import Invalid, Refused, TooLarge, Unavailable
from shared.messaging.broker import OutgoingMessage
from shared.messaging.service_bus_connection import ServiceBusConnection, translated_errors

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
    from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

BATCH_MESSAGES_MAX: Final = 1000
"""Service Bus takes 4,500; fewer bound what one commit of the service holds up."""
SEND_WITHIN_S: Final = 10.0
"""For all of a send: the turn of its entity, the token, the link, and every batch. A command waits
for it that is already committed."""
_CLOSE_WITHIN_S: Final = 5.0
_ATTEMPT_S: Final = 5.0
_RETRIES: Final = 2
_BACKOFF_S: Final = 0.2
"""The SDK's defaults (no time limit, 3 retries of 0.8 s and more) are longer than a request of ours
may take."""


class ServiceBusMessages:
    """The `MessageSender` of one namespace, connected when first used. Close it when the app ends.

    Each entity has a connection of its own, which the SDK opens again when it breaks.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        credential: "Callable[[], AsyncTokenCredential] | None" = None,
        connection_string: str | None = None,
        ca_file: Path | None = None,
        within_s: float = SEND_WITHIN_S,
    ) -> None:
        """*namespace* is a host name, such as `shop.servicebus.windows.net`, with *credential*.

        *credential* is asked when first used and stays its owner's to close. For an emulator give
        *connection_string* instead. A send that has not ended after *within_s* seconds is given up.
        """
        self._within_s = within_s
        self.connection = ServiceBusConnection(
            namespace=namespace,
            credential=credential,
            connection_string=connection_string,
            ca_file=ca_file,
        )
        self._client: ServiceBusClient | None = None
        self._senders: dict[str, ServiceBusSender] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Put *messages* on a queue or topic, in as many batches as they need.

        All or none while they fit in one batch; else some may be sent when it raises Unavailable.

        Raises:
            Unavailable: throttled, away, not allowed (a role assignment takes minutes to count), or
                not done in time, also where the sends before it took the time.
            NotFound: no such entity.
            TooLarge: a message is over the limit of the namespace; nothing was sent.
            Invalid: a message id is empty or over 128 characters; nothing was sent.
        """
        if not messages:
            return
        encoded = [_encoded(message) for message in messages]
        turn = self._turns.setdefault(entity, asyncio.Lock())
        # A sender of the SDK serves one task at a time.
        async with translated_errors(entity, within_s=self._within_s), turn:
            try:
                sender = self._sender(entity)
                for batch in await _batches(sender, encoded):
                    await sender.send_messages(batch, timeout=self._within_s)
            except BaseException:  # a send that was cancelled leaves its link half used
                self._forget(entity)
                raise

    def _sender(self, entity: str) -> "ServiceBusSender":
        if entity not in self._senders:
            # A topic's sender is the same: the SDK's two methods differ in their names only.
            self._senders[entity] = self._connected().get_queue_sender(entity)
        return self._senders[entity]

    def _forget(self, entity: str) -> None:
        """Let the next send to *entity* begin with a new connection; nobody waits for the old."""
        sender = self._senders.pop(entity, None)
        if sender is not None:
            closing = asyncio.create_task(_close(sender, entity))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _connected(self) -> "ServiceBusClient":
        if self._client is None:
            self._client = self.connection.open(
                retry_total=_RETRIES, retry_backoff_factor=_BACKOFF_S, try_timeout=_ATTEMPT_S
            )
        return self._client

    async def close(self) -> None:
        """Close the connections; the sender may not be used afterwards."""
        for entity in list(self._senders):
            self._forget(entity)
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None


async def _close(sender: "ServiceBusSender", entity: str) -> None:
    """Say goodbye to a namespace, which may be the one that does not answer."""
    with suppress(Refused, Unavailable):
        async with translated_errors(entity, within_s=_CLOSE_WITHIN_S):
            await sender.close()


def _encoded(message: OutgoingMessage) -> "ServiceBusMessage":
    from azure.servicebus import ServiceBusMessage  # noqa: PLC0415  heavy: where used

    lives_s = message.time_to_live_s
    properties: dict[str | bytes, Any] = dict(message.application_properties.items())
    if not message.message_id:
        raise Invalid("message_id is empty, expected 1 to 128 characters")
    try:
        return ServiceBusMessage(
            message.body,
            message_id=message.message_id,
            subject=message.subject or None,
            content_type=message.content_type or None,
            correlation_id=message.correlation_id or None,
            application_properties=properties,
            time_to_live=None if lives_s is None else timedelta(seconds=lives_s),
            scheduled_enqueue_time_utc=message.scheduled_at,
        )
    except ValueError as problem:
        raise Invalid(f"message {message.message_id[:128]!r} is refused: {problem}") from problem


async def _batches(
    sender: "ServiceBusSender", messages: Sequence["ServiceBusMessage"]
) -> "list[ServiceBusMessageBatch]":
    """Return *messages* in order in batches that the entity takes. Raises TooLarge."""
    from azure.servicebus.exceptions import MessageSizeExceededError  # noqa: PLC0415  heavy

    batches = [await sender.create_message_batch()]
    for message in messages:
        try:
            if len(batches[-1]) < BATCH_MESSAGES_MAX:
                batches[-1].add_message(message)
                continue
        except MessageSizeExceededError as full:
            if not len(batches[-1]):
                raise _too_large(message, batches[-1].max_size_in_bytes) from full
        batches.append(await sender.create_message_batch())
        try:
            batches[-1].add_message(message)
        except MessageSizeExceededError as full:
            raise _too_large(message, batches[-1].max_size_in_bytes) from full
    return batches


def _too_large(message: "ServiceBusMessage", most: int) -> TooLarge:
    return TooLarge(f"message {message.message_id!r} is larger than {most} bytes as it is sent")
