"""The dead letters of one Service Bus namespace, by the official asynchronous SDK."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import HELD_MAX, RENEWED_FOR_S, DeadLetter, Replay
from shared.messaging.entity_path import split_path
from shared.messaging.received_messages import body_of, properties_of, text_of
from shared.messaging.service_bus_connection import ServiceBusConnection, translated_errors

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

_WITHIN_S: Final = 10.0
_WAIT_S: Final = 2.0
"""For the next dead letters; when none came in that time, others have them."""
_LOCKED_WITHIN_S: Final = 120.0
"""Those before the wanted one, `HELD_MAX` at most, are given back one by one."""
_AT_ONCE: Final = 100
_REASONS: Final = ("DeadLetterReason", "DeadLetterErrorDescription")
_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "try_timeout": _WITHIN_S,
}


class ServiceBusDeadLetters:
    """Implements `DeadLetters`; connects for each call, which an operator makes now and then."""

    def __init__(self, connection: ServiceBusConnection) -> None:
        self._connection = connection

    async def page(self, entity: str, *, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        async with translated_errors(entity), self._receiver(entity) as receiver:
            peeked = await receiver.peek_messages(
                limit, sequence_number=after + 1, timeout=_WITHIN_S
            )
        return [_dead_letter(message) for message in peeked]

    async def replay(self, entity: str, sequence_number: int, handle: Replay) -> bool:
        async with self._receiver(entity) as receiver:
            async with translated_errors(entity, within_s=_LOCKED_WITHIN_S):
                message = await _locked(receiver, sequence_number)
            if message is None:
                return False
            try:
                async with _renewed(receiver, message):
                    await handle(_dead_letter(message))
            except BaseException:
                await _abandon(receiver, [message])
                raise
            async with translated_errors(entity):
                await receiver.complete_message(message)
        return True

    @asynccontextmanager
    async def _receiver(self, entity: str) -> AsyncIterator["ServiceBusReceiver"]:
        from azure.servicebus import ServiceBusSubQueue  # noqa: PLC0415  heavy: where used

        client = self._connection.open(**_OPTIONS)
        of: dict[str, Any] = {"sub_queue": ServiceBusSubQueue.DEAD_LETTER}
        name, subscription = split_path(entity)
        try:
            if subscription is not None:
                receiver = client.get_subscription_receiver(name, subscription, **of)
            else:
                receiver = client.get_queue_receiver(name, **of)
            async with translated_errors(entity):
                await receiver.__aenter__()
            yield receiver
        finally:
            await client.close()


async def _locked(
    receiver: "ServiceBusReceiver", sequence_number: int
) -> "ServiceBusReceivedMessage | None":
    """Return that dead letter, locked; give back what the namespace gave out before it.

    A receiver cannot ask for one of a number. It asks for exactly as many as there are up to that
    one: what it gave back would come again for credit that is left, and stay locked.
    """
    left = await _place(receiver, sequence_number)
    others: list[ServiceBusReceivedMessage] = []
    try:
        while left > 0:
            messages = await receiver.receive_messages(min(left, _AT_ONCE), max_wait_time=_WAIT_S)
            wanted = [each for each in messages if each.sequence_number == sequence_number]
            others += [each for each in messages if each not in wanted]
            if wanted or not messages:
                return wanted[0] if wanted else None
            left -= len(messages)
    finally:
        await _abandon(receiver, others)
    return None


async def _place(receiver: "ServiceBusReceiver", sequence_number: int) -> int:
    """Return how many dead letters there are up to that one; 0 when it is not there."""
    passed, last = 0, 0
    while peeked := await receiver.peek_messages(
        _AT_ONCE, sequence_number=last + 1, timeout=_WITHIN_S
    ):
        for message in peeked:
            last = message.sequence_number or 0
            passed += 1
            if last >= sequence_number:
                return passed if last == sequence_number else 0
        if passed >= HELD_MAX:
            raise Unavailable(
                f"{passed} dead letters come before number {sequence_number}: replay those first"
            )
    return 0


async def _abandon(
    receiver: "ServiceBusReceiver", messages: Sequence["ServiceBusReceivedMessage"]
) -> None:
    """Give *messages* back; where that fails, they come back when their locks have run out."""
    from azure.servicebus.exceptions import ServiceBusError  # noqa: PLC0415  heavy: where used

    with suppress(ServiceBusError, OSError):
        for message in messages:
            await receiver.abandon_message(message)


@asynccontextmanager
async def _renewed(
    receiver: "ServiceBusReceiver", message: "ServiceBusReceivedMessage"
) -> AsyncIterator[None]:
    from azure.servicebus.aio import AutoLockRenewer  # noqa: PLC0415  heavy: where used

    renewer = AutoLockRenewer(max_lock_renewal_duration=RENEWED_FOR_S)
    try:
        renewer.register(receiver, message)
        yield
    finally:
        await renewer.close()


def _dead_letter(message: "ServiceBusReceivedMessage") -> DeadLetter:
    return DeadLetter(
        message.sequence_number or 0,
        text_of(message.message_id),
        body_of(message),
        text_of(message.content_type),
        {key: value for key, value in properties_of(message).items() if key not in _REASONS},
        text_of(message.dead_letter_reason),
        text_of(message.dead_letter_error_description),
        message.enqueued_time_utc or datetime.fromtimestamp(0, UTC),
    )
