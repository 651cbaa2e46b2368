"""A body is bounded before its types are looked at, so a refusal costs one reading."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.contracts.components import Component
from shared.contracts.deployments import Deploy
from shared.contracts.validation import ITEMS_MAX, VALUES_MAX, parse
from shared.kernel.errors import Invalid

MANY: Final = ITEMS_MAX + 1
TOO_MANY: Final[Mapping[str, bytes]] = {
    "items": b'{"components":[%s]}' % b",".join([b"{}"] * 300_000),
    "items-of-one-list": b'{"remove":[%s]}' % b",".join([b'"module-a"'] * MANY),
    "names": b"{%s}" % b",".join(b'"k%d":1' % n for n in range(MANY)),
    "names-below": b'{"components":[{"environ":{%s}}]}'
    % b",".join(b'"k%d":"v"' % n for n in range(MANY)),
    "values": b'{"a":[%s]}' % b",".join([b"[1,2,3,4,5,6,7,8,9,0]"] * (VALUES_MAX // 10 + 1)),
    "objects": b'{"a":%s}' % (b"[{},{}]" * VALUES_MAX),
    "mistakes": b'{"components":[%s]}'
    % b",".join([b"{%s}" % b",".join(b'"f%d":1' % n for n in range(19))] * (VALUES_MAX // 20)),
    "a-list-and-nothing-else": b"[%s]" % b",".join([b"1"] * MANY),
}
REPEATED: Final[Mapping[str, bytes]] = {
    "at-the-top": b'{"releaseRef":"a","releaseRef":"b"}',
    "below": b'{"components":[{"environ":{"A":"1","B":"2","A":"3"}}]}',
    "spelled-otherwise": b'{"releaseRef":"a","release\\u0052ef":"b"}',
}
NUL: Final[Mapping[str, Mapping[str, Any]]] = {
    "an-argument": {"command": ["./serve", "a\0b"]},
    "a-variable": {"environ": {"A": "1\0"}},
    "a-probe-path": {"probes": {"readiness": {"kind": "http", "path": "/\0"}}},
}
COMPONENT: Final = {
    "moduleId": "module-a",
    "componentType": "microservice",
    "version": "1.0.0",
    "artifactDigest": "sha256:" + "0" * 64,
}


def code_of(body: bytes, model: type[BaseModel] = Deploy) -> str:
    with pytest.raises(Invalid) as refused:
        parse(model, body)
    return refused.value.code


@pytest.mark.parametrize("body", TOO_MANY.values(), ids=TOO_MANY.keys())
def test_a_body_with_too_much_in_it_is_refused_by_its_numbers(body: bytes) -> None:
    assert code_of(body) == "TooMany"


@pytest.mark.parametrize("body", REPEATED.values(), ids=REPEATED.keys())
def test_a_name_stands_once_in_an_object(body: bytes) -> None:
    assert code_of(body) == "RepeatedField"


@pytest.mark.parametrize("part", NUL.values(), ids=NUL.keys())
def test_nothing_that_reaches_a_process_has_a_nul(part: Mapping[str, Any]) -> None:
    component = json.dumps({**COMPONENT, **part})

    with pytest.raises(Invalid) as refused:
        parse(Component, component.encode())
    assert [each.code for each in refused.value.details] == ["PatternMismatch"]


class Anything(BaseModel):
    value: Any = None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=30,
)


@given(_JSON)
def test_whatever_is_within_the_bounds_is_left_to_the_types(value: Any) -> None:
    assert parse(Anything, json.dumps({"value": value}).encode()).value == value
