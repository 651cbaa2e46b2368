"""Three encodings, one envelope: what another platform writes in one is read back equal."""

import json
from typing import Any

import pytest
from hypothesis import given

from shared.kernel.errors import Invalid, Refused, UnsupportedMedia
from shared.messaging.envelope import Envelope
from shared.messaging.message_codecs import (
    CANONICAL,
    CLOUD_EVENTS,
    MASS_TRANSIT,
    decode,
)
from tests.messaging.envelopes import an_envelope, envelopes
from tests.messaging.foreign_forms import cloud_event, encode

FORMS = (CANONICAL, CLOUD_EVENTS, MASS_TRANSIT)
KEYS = [
    "eventId", "eventType", "tenantId", "projectId", "moduleId", "traceId", "correlationId",
    "causationId", "occurredAt", "payload",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@given(envelope=envelopes())
def test_what_is_encoded_is_decoded_equal(form: str, envelope: Envelope) -> None:
    assert decode(encode(envelope, form), form) == envelope


@given(envelope=envelopes())
def test_the_canonical_form_has_the_ten_keys_in_their_order(envelope: Envelope) -> None:
    assert list(json.loads(envelope.to_json())) == KEYS


@pytest.mark.parametrize(
    "media",
    ["application/json; charset=utf-8", "APPLICATION/JSON", ""],
    ids=["charset", "case", "no"],
)
def test_the_media_type_is_read_as_http_reads_it(media: str) -> None:
    envelope = an_envelope()

    assert decode(envelope.to_json(), media) == envelope


def test_another_media_type_is_refused() -> None:
    with pytest.raises(UnsupportedMedia):
        decode(b"<envelope/>", "application/xml")


def _without(name: str) -> bytes:
    body = json.loads(an_envelope().to_json())
    del body[name]
    return json.dumps(body).encode()


def _with(**fields: Any) -> bytes:
    return json.dumps(json.loads(an_envelope().to_json()) | fields).encode()


BROKEN = {
    "empty": b"",
    "no-json": b"envelope",
    "not-utf-8": b"\xff\xfe{}",
    "an-array": b"[]",
    "a-number": b"7",
    "too-deep": b"[" * 100_000,
    **{f"without-{name}": _without(name) for name in KEYS if name not in
       {"projectId", "moduleId", "causationId"}},
    "unknown-key": _with(extra=1),
    "tenant-of-the-platform": _with(tenantId="-platform"),
    "tenant-with-a-separator": _with(tenantId="acme|globex"),
    "tenant-is-longer-than-a-label": _with(tenantId="a" * 64),
    "tenant-is-null": _with(tenantId=None),
    "type-with-a-space": _with(eventType="Thing Happened"),
    "id-without-a-prefix": _with(eventId="00000000-0000-0000-0000-000000000001"),
    "time-without-a-zone": _with(occurredAt="2026-01-01T00:00:00"),
    "time-is-a-number": _with(occurredAt=1767225600),
    "payload-is-text": _with(payload="{}"),
    "payload-has-NaN": _with(payload={"value": float("nan")}),
    "payload-is-infinite": _with(payload={"value": float("inf")}),
}  # fmt: skip


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_envelope_is_refused_in_every_form(form: str, body: bytes) -> None:
    whole = body
    if form == MASS_TRANSIT and body[:1] == b"{":
        whole = b'{"message": %s}' % body

    with pytest.raises(Refused):
        decode(whole, form)


@pytest.mark.parametrize("missing", ["id", "type", "time", "data", "tenantid", "traceid"])
def test_a_cloud_event_without_an_attribute_we_need_is_refused(missing: str) -> None:
    event = cloud_event(an_envelope())
    del event[missing]

    with pytest.raises(Invalid) as refused:
        decode(json.dumps(event).encode(), CLOUD_EVENTS)
    assert refused.value.details
