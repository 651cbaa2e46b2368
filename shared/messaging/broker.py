"""The port to a broker with Service Bus semantics; what a trigger receives comes by binding."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Protocol

from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class OutgoingMessage:
    """One message as Service Bus takes it. `body` at most 256 KB with its properties."""

    body: bytes
    message_id: str
    subject: str = ""
    content_type: str = "application/json"
    correlation_id: str = ""
    application_properties: Mapping[str, str] = field(default_factory=dict)
    time_to_live_s: float | None = None
    """None: as long as the entity keeps messages."""
    scheduled_at: datetime | None = None
    """Aware UTC; receivers do not see the message earlier."""


class MessageSender(Protocol):
    """Sends to one namespace."""

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        """Put *messages* on a queue or topic; durable when this returns, all or none.

        Raises:
            Unavailable: throttled or away; some may have been sent (send again: consumers dedup).
            NotFound: no such entity.
        """
        ...
