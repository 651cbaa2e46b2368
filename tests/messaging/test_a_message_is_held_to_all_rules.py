"""A message in the form that the platform writes is held to the same rules as any other."""

import json
from typing import Any

import pytest
from hypothesis import given

from shared.contracts.validation import DEPTH_MAX, ITEMS_MAX
from shared.kernel.errors import Invalid
from shared.messaging.envelope import Envelope, parse_envelope
from tests.messaging.envelopes import an_envelope, envelopes

BODY = an_envelope(payload={"part": {"a": "1", "b": [{"c": 2.5}]}}).to_json()


def replaced(old: bytes, new: bytes) -> bytes:
    assert BODY.count(old) == 1
    return BODY.replace(old, new)


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels else {}


REFUSED = {
    "a-name-twice-in-the-payload": replaced(b'"a":"1"', b'"a":"1","a":"1"'),
    "a-name-twice-in-a-list": replaced(b'"c":2.5', b'"c":2.5,"c":2.5'),
    "a-name-twice-but-spelled-otherwise": replaced(b'"a":"1"', b'"\\u0061":"1","a":"1"'),
    "a-field-twice": replaced(b'"tenantId":"acme"', b'"tenantId":"other","tenantId":"acme"'),
    "the-payload-twice": replaced(b',"payload":', b',"payload":{"d":1},"payload":'),
    "the-payload-is-no-object": BODY[: BODY.index(b',"payload":')] + b',"payload":[1]}',
    "no-end": BODY[:-1],
    "more-after-the-end": BODY + b"}",
    "a-payload-in-another-field": replaced(b',"payload":', b',"d":{"e":1,"payload":') + b"}",
    "no-number": replaced(b"2.5", b"NaN"),
    "an-infinite-number": replaced(b"2.5", b"1e999"),
    "too-deep": an_envelope(payload=deep(DEPTH_MAX)).to_json(),
    "too-many-items": an_envelope(payload={"list": [0] * (ITEMS_MAX + 1)}).to_json(),
}
TAKEN = {
    "as-we-write-it": BODY,
    "with-spaces": json.dumps(json.loads(BODY), indent=1).encode(),
    "in-another-order": json.dumps(dict(reversed(json.loads(BODY).items()))).encode(),
    "a-number-written-otherwise": replaced(b"2.5", b"25e-1"),
    "without-what-may-be-absent": replaced(b'"causationId":null,', b""),
    "with-an-offset": replaced(b"Z", b"+00:00"),
    "with-a-payload-in-the-payload": replaced(b'"a":"1"', b'"a":"1","payload":{"b":1}'),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_a_rule_is_refused_however_it_is_written(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        parse_envelope(body)
    assert refused.value.code == "MalformedEnvelope"


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN.keys())
def test_a_message_is_what_it_says_however_it_is_written(body: bytes) -> None:
    assert parse_envelope(body) == Envelope.model_validate_json(body)


@given(envelopes())
def test_what_is_written_is_read_and_written_again(envelope: Envelope) -> None:
    body = envelope.to_json()

    assert parse_envelope(body).to_json() == body
