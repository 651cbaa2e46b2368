"""One trace has one W3C id in every process, whatever form its caller gave it."""

import pytest

from shared.telemetry.trace_context import TraceParent, read_traceparent, w3c_trace_id

HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_an_id_of_ours_is_w3cs_with_a_prefix() -> None:
    parent = read_traceparent(f"00-{HEX}-{SPAN}-01")

    assert parent == TraceParent(HEX, SPAN)
    assert parent.trace_id == f"trace-{HEX}"
    assert w3c_trace_id(parent.trace_id) == HEX
    assert str(parent) == f"00-{HEX}-{SPAN}-01"


@pytest.mark.parametrize("other", ["trace-1", f"trace-{'0' * 32}", f"trace-{HEX.upper()}"])
def test_an_id_of_another_form_has_one_all_the_same(other: str) -> None:
    found = w3c_trace_id(other)

    assert found == w3c_trace_id(other) != HEX
    assert read_traceparent(f"00-{found}-{SPAN}-01") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        f"ff-{HEX}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{HEX}-{'0' * 16}-01",
        f"00-{HEX}-{SPAN}",
        f"00-{HEX.upper()}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    assert read_traceparent(text) is None
