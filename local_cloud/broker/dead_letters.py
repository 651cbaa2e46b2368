"""The dead letters of the embedded broker, for the services in the same process."""

from collections.abc import Sequence
from datetime import UTC, datetime

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import Disposition, LockLost, ReceivedMessage
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import HELD_MAX, RENEWED_FOR_S, DeadLetter, Replay


class BrokerDeadLetters:
    """Implements `DeadLetters` on *broker*."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def page(self, entity: str, *, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        held = self._broker.peek(f"{entity}{DEAD_LETTER_SUFFIX}", after=after, limit=limit)
        return [_dead_letter(message) for message in held]

    async def replay(self, entity: str, sequence_number: int, handle: Replay) -> bool:
        locked = await self._broker.lock(f"{entity}{DEAD_LETTER_SUFFIX}", HELD_MAX)
        others = [each for each in locked if each.sequence_number != sequence_number]
        await self._broker.settle_all(others, Disposition.RELEASE)
        if len(others) == len(locked):
            return False
        (message,) = (each for each in locked if each not in others)
        self._broker.keep_renewed(message, RENEWED_FOR_S)
        try:
            await handle(_dead_letter(message))
        except BaseException:
            await self._broker.settle_all([message], Disposition.RELEASE)
            raise
        try:
            await self._broker.complete(message)
        except LockLost as lost:
            raise Unavailable(f"handled, and still a dead letter: {lost}") from lost
        return True


def _dead_letter(message: ReceivedMessage) -> DeadLetter:
    return DeadLetter(
        message.sequence_number,
        message.message_id,
        message.body,
        message.content_type,
        message.application_properties,
        message.dead_letter_reason,
        message.dead_letter_description,
        datetime.fromtimestamp(message.enqueued_at, UTC),
    )
