"""The envelope as other platforms write it: CloudEvents 1.0 and MassTransit."""

import json
from typing import Any, Final

from shared.messaging.envelope import Envelope
from shared.messaging.message_codecs import CANONICAL, CLOUD_EVENTS, MASS_TRANSIT

_ATTRIBUTES: Final = {
    "tenantid": "tenantId",
    "projectid": "projectId",
    "moduleid": "moduleId",
    "traceid": "traceId",
    "correlationid": "correlationId",
    "causationid": "causationId",
}


def cloud_event(envelope: Envelope) -> dict[str, Any]:
    """Return *envelope* in the structured mode of the JSON event format."""
    canonical = envelope.model_dump(mode="json", by_alias=True)
    given = {name: canonical[key] for name, key in _ATTRIBUTES.items()}
    return {
        "specversion": "1.0",
        "id": canonical["eventId"],
        "source": "/another-platform",
        "type": canonical["eventType"],
        "time": canonical["occurredAt"],
        "datacontenttype": CANONICAL,
        "data": canonical["payload"],
        **{name: value for name, value in given.items() if value is not None},
    }


def mass_transit(envelope: Envelope) -> dict[str, Any]:
    """Return *envelope* as the message of a MassTransit envelope."""
    canonical = envelope.model_dump(mode="json", by_alias=True)
    return {
        "messageId": canonical["eventId"].removeprefix("evt-"),
        "conversationId": canonical["correlationId"].removeprefix("corr-"),
        "messageType": [f"urn:message:AnotherPlatform:{envelope.event_type}"],
        "message": canonical,
        "sentTime": canonical["occurredAt"],
        "headers": dict(envelope.properties()),
    }


def encode(envelope: Envelope, form: str) -> bytes:
    """Return *envelope* in *form*, a content type."""
    whole = {CLOUD_EVENTS: cloud_event, MASS_TRANSIT: mass_transit}
    return json.dumps(whole[form](envelope)).encode() if form in whole else envelope.to_json()
