"""The messages that a service over in-memory parts is given, and those that it sends itself."""

import json
from datetime import datetime

from pydantic import BaseModel

from shared.messaging.envelope import Envelope
from tests.kit.service import TENANT, Sent


def envelope_of(payload: BaseModel, number: int, at: datetime) -> Envelope:
    """Return the message with *payload* whose event id ends with *number*."""
    return Envelope(
        event_id=f"evt-00000000-0000-4000-8000-{number:012d}",
        event_type=type(payload).__name__,
        tenant_id=TENANT,
        project_id="proj-web",
        module_id=None,
        trace_id="trace-1",
        correlation_id="corr-1",
        causation_id=None,
        occurred_at=at,
        payload=json.loads(payload.model_dump_json(by_alias=True)),
    )


def taken(sent: Sent, queue: str) -> list[Envelope]:
    """Take what was sent to *queue* out of *sent*."""
    mine = [message for entity, message in sent.messages if entity == queue]
    sent.messages[:] = [each for each in sent.messages if each[0] != queue]
    return [Envelope.model_validate_json(message.body) for message in mine]
