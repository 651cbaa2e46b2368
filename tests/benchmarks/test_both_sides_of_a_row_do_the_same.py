"""What a benchmark compares comes to the same on both sides."""

import pytest

from benchmarks import g11_envelope


@pytest.mark.parametrize("body", g11_envelope.BODIES.values(), ids=g11_envelope.BODIES.keys())
def test_a_message_leaves_both_codecs_as_it_came(body: bytes) -> None:
    assert g11_envelope.ours(body) == g11_envelope.by_pydantic(body) == body
