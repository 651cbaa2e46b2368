"""The port to dead letters: messages that the broker gave up, kept until somebody replays them.

A replay hands one to the service that failed, under its lock, and never sends it again: a topic
would bring it to services that have handled it. It is removed when it was handled. A crash between
the two leaves it there, and the inbox makes the next replay a repeat.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from shared.kernel.dataclass import dataclass

HELD_MAX: Final = 1000
"""A broker gives out the dead letters of an entity in its own order: so many are looked through."""
RENEWED_FOR_S: Final = 300.0
"""While a replay lasts that long, nobody else is given the message."""


@dataclass(frozen=True)
class DeadLetter:
    """One message with the reason why the broker, or a receiver, gave it up."""

    sequence_number: int
    message_id: str
    body: bytes
    content_type: str
    properties: Mapping[str, Any]
    """The application properties, without those that say the reason."""
    reason: str
    description: str
    enqueued_at: datetime


Replay = Callable[[DeadLetter], Awaitable[object]]


class DeadLetters(Protocol):
    """The dead letters of one namespace; *entity* is a queue or `<topic>/subscriptions/<name>`."""

    async def page(self, entity: str, *, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        """Return up to *limit* dead letters from the first sequence number above *after*.

        None is locked. There may be more unless the answer is empty.

        Raises:
            NotFound: no such entity.
            Unavailable: throttled, away, or not allowed.
        """
        ...

    async def replay(self, entity: str, sequence_number: int, handle: Replay) -> bool:
        """Hand one dead letter to *handle*, and remove it when that returns.

        Returns False when there is none of that number, or somebody else has it. What *handle*
        raises is raised, and the dead letter stays.

        Raises:
            NotFound: no such entity.
            Unavailable: throttled, away, or not allowed; or it was handled and is still there.
        """
        ...


@dataclass(frozen=True)
class EntityDeadLetters:
    """The dead letters of one *entity*; *open* returns those of its namespace, when first asked."""

    entity: str
    open: Callable[[], DeadLetters]

    async def page(self, *, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        """As `DeadLetters.page`."""
        return await self.open().page(self.entity, after=after, limit=limit)

    async def replay(self, sequence_number: int, handle: Replay) -> bool:
        """As `DeadLetters.replay`."""
        return await self.open().replay(self.entity, sequence_number, handle)
