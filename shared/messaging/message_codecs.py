"""Reads the envelope in three encodings: canonical, MassTransit and CloudEvents 1.0.

The platform itself writes the canonical one (`Envelope.to_json`).

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
_EXTENSIONS: Final = {
    "tenantid": "tenantId",
    "projectid": "projectId",
    "moduleid": "moduleId",
    "traceid": "traceId",
    "correlationid": "correlationId",
    "causationid": "causationId",
}
"""CloudEvents attribute names are lower-case letters and digits only."""


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


def _from_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventId": event.get("id"),
        "eventType": event.get("type"),
        "occurredAt": event.get("time"),
        "payload": event.get("data"),
        **{key: event.get(name) for name, key in _EXTENSIONS.items()},
    }
