"""Sends a message of the published language to the broker of whichever host runs now."""

import json

from pydantic import BaseModel

from shared.composition.embedded import installed_host
from shared.messaging.broker import OutgoingMessage
from shared.messaging.envelope import Envelope
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH


async def send(entity: str, payload: BaseModel, number: int) -> None:
    """Send *payload* to a topic or queue; the same *number* is the same message again."""
    host = installed_host()
    assert host is not None
    await host.sender.send(entity, [message_of(payload, number)])


def envelope_of(payload: BaseModel, event_id: str) -> Envelope:
    """Return the envelope of *payload*, as its service writes it."""
    return Envelope(
        event_id=event_id,
        event_type=type(payload).__name__,
        tenant_id=TENANT,
        project_id="proj-web",
        module_id=None,
        trace_id="trace-1",
        correlation_id="corr-1",
        causation_id=None,
        occurred_at=EPOCH,
        payload=json.loads(payload.model_dump_json(by_alias=True)),
    )


def message_of(payload: BaseModel, number: int) -> OutgoingMessage:
    """Return the message of *payload* whose id says *number*."""
    envelope = envelope_of(payload, f"evt-00000000-0000-4000-8000-{number:012d}")
    return OutgoingMessage(
        body=envelope.to_json(),
        message_id=envelope.event_id,
        subject=envelope.event_type,
        correlation_id=envelope.correlation_id,
        application_properties=envelope.properties(),
    )
