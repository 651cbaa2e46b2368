"""Three encodings of the one envelope: canonical, MassTransit, CloudEvents 1.0; all lossless.

CloudEvents: structured mode of the JSON event format (cloudevents/spec v1.0.2). MassTransit: the
JSON envelope of `application/vnd.masstransit+json`, with the canonical envelope as `message`.
"""

import json
from typing import Any, Final

from shared.kernel.errors import Invalid, UnsupportedMedia
from shared.messaging.envelope import Envelope, parse_envelope

CANONICAL: Final = "application/json"
CLOUD_EVENTS: Final = "application/cloudevents+json"
MASS_TRANSIT: Final = "application/vnd.masstransit+json"
_SOURCE: Final = "/factory-runtime"
_EXTENSIONS: Final = {
    "tenantid": "tenantId",
    "projectid": "projectId",
    "moduleid": "moduleId",
    "traceid": "traceId",
    "correlationid": "correlationId",
    "causationid": "causationId",
}
"""CloudEvents attribute names are lower-case letters and digits only."""


def encode(envelope: Envelope, content_type: str = CANONICAL) -> bytes:
    """Return *envelope* in the encoding *content_type*.

    Raises:
        UnsupportedMedia: no such encoding.
    """
    match content_type:
        case "application/json":
            return envelope.to_json()
        case "application/cloudevents+json":
            return json.dumps(_to_cloud_event(envelope)).encode()
        case "application/vnd.masstransit+json":
            return json.dumps(_to_mass_transit(envelope)).encode()
        case _:
            raise UnsupportedMedia(f"no encoding {content_type!r}")


def decode(body: bytes, content_type: str) -> Envelope:
    """Return the envelope in *body*.

    Raises:
        Invalid: not an envelope in that encoding.
        UnsupportedMedia: no such encoding.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media in {CANONICAL, ""}:
        return parse_envelope(body)
    if media not in {CLOUD_EVENTS, MASS_TRANSIT}:
        raise UnsupportedMedia(f"messages are {CANONICAL}, {CLOUD_EVENTS} or {MASS_TRANSIT}")
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise Invalid("the message is not JSON", code="MalformedEnvelope") from problem
    if not isinstance(outer, dict):
        raise Invalid("the message is not a JSON object", code="MalformedEnvelope")
    inner = _from_cloud_event(outer) if media == CLOUD_EVENTS else outer.get("message")
    return parse_envelope(json.dumps(inner).encode())


def _to_cloud_event(envelope: Envelope) -> dict[str, Any]:
    canonical = envelope.model_dump(mode="json", by_alias=True)
    extensions = {
        name: canonical[key] for name, key in _EXTENSIONS.items() if canonical[key] is not None
    }
    return {
        "specversion": "1.0",
        "id": canonical["eventId"],
        "source": _SOURCE,
        "type": canonical["eventType"],
        "time": canonical["occurredAt"],
        "datacontenttype": CANONICAL,
        "data": canonical["payload"],
        **extensions,
    }


def _from_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventId": event.get("id"),
        "eventType": event.get("type"),
        "occurredAt": event.get("time"),
        "payload": event.get("data"),
        **{key: event.get(name) for name, key in _EXTENSIONS.items()},
    }


def _to_mass_transit(envelope: Envelope) -> dict[str, Any]:
    canonical = envelope.model_dump(mode="json", by_alias=True)
    return {
        "messageId": canonical["eventId"].removeprefix("evt-"),
        "conversationId": canonical["correlationId"].removeprefix("corr-"),
        "messageType": [f"urn:message:FactoryRuntime:{envelope.event_type}"],
        "message": canonical,
        "sentTime": canonical["occurredAt"],
        "headers": dict(envelope.properties()),
    }
