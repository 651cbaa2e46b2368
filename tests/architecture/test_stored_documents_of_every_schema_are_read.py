"""Documents that an earlier version stored are read by today's code.

`tests/golden/documents/<service>_<type>.schema<n>.json` is the body of one; `python -m
tests.kit.golden` records those that are missing.
"""

import dataclasses
import json
from typing import Any

import pytest

from tests.kit.golden_documents import codecs, goldens

CODECS = codecs()
GOLDENS = [golden for golden in goldens() if golden.name in CODECS]


@pytest.mark.parametrize("golden", GOLDENS, ids=[golden.path.stem for golden in GOLDENS])
def test_a_stored_document_is_read_and_keeps_its_fields(golden: Any) -> None:
    codec = CODECS[golden.name]
    value = codec.decode(json.loads(golden.path.read_text()))

    assert codec.decode(codec.encode(value)) == value


def test_every_kind_of_document_has_a_golden_of_each_schema() -> None:
    expected = {
        (name, schema) for name, codec in CODECS.items() for schema in range(1, codec.schema + 1)
    }

    missing = expected - {(golden.name, golden.schema) for golden in GOLDENS}
    assert missing == set(), "run `python -m tests.kit.golden`"


@pytest.mark.parametrize("golden", GOLDENS, ids=[golden.path.stem for golden in GOLDENS])
def test_an_unknown_field_of_a_later_version_is_left_out(golden: Any) -> None:
    codec, body = CODECS[golden.name], json.loads(golden.path.read_text())

    assert codec.decode({**body, "of_a_later_version": 1}) == codec.decode(body)


@pytest.mark.parametrize("name", CODECS)
def test_no_field_of_a_document_has_the_name_of_one_that_every_document_has(name: str) -> None:
    stored = {field.name for field in dataclasses.fields(CODECS[name].type)}

    assert stored & {"type", "schema"} == set()
