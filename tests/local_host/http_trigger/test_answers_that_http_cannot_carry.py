"""A response that HTTP cannot carry is the host's own 500, and the log names its function."""

import json
import logging
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_host.http_trigger.response_heads import ResponseHeads
from local_host.model import HttpAnswer
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.stores import HandClock
from tests.kit.virtual_time import run_virtual


def answer_to(value: Any) -> HttpAnswer:
    """Return what a caller gets of a function that returns *value*, after its head was written."""
    app = new_app()

    @app.route("x")
    def odd(req: func.HttpRequest):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return value() if callable(value) else value

    async def main() -> HttpAnswer:
        async with hosting(embedded(app)) as host:
            return await ask(host, "GET", "/x")

    answer = run_virtual(main())
    ResponseHeads(HandClock()).head_of(answer, keep_alive=True, now_s=0.0)
    return answer


class _Raising(func.HttpResponse):
    def get_body(self) -> bytes:
        raise SystemExit(5)


@pytest.mark.parametrize(
    "value",
    [
        lambda: func.HttpResponse(status_code=0),
        lambda: func.HttpResponse(status_code=99),
        lambda: func.HttpResponse(status_code=101),
        lambda: func.HttpResponse(status_code=1000),
        lambda: func.HttpResponse(status_code=-200),
        lambda: func.HttpResponse(status_code="abc"),  # type: ignore[arg-type]
        lambda: func.HttpResponse(headers={"my header": "x"}),
        lambda: func.HttpResponse(headers={"": "x"}),
        lambda: func.HttpResponse(headers={"x": "\u20ac"}),
        lambda: func.HttpResponse(headers={"x\u00e4": "y"}),
        lambda: func.HttpResponse(mimetype="text/\u20ac"),
        lambda: func.HttpResponse(mimetype="a\r\nset-cookie: b=c"),
        lambda: _Raising("x"),
        '{"body": "x", "status": "abc"}',
        '{"body": "x", "status": 1000}',
        '{"body": "x", "status": null}',
        '{"body": "x", "status": [200]}',
        '{"body": "x", "headers": {"a b": "c"}}',
        '{"body": "x", "headers": {"a": "\\u20ac"}}',
        '{"body": "\\ud800"}',
        "\ud800",
        5,
        {"a": 1},
        None,
        b"bytes",
    ],
    ids=lambda value: None if callable(value) else ascii(value)[:30],
)
def test_the_caller_gets_a_500_and_the_log_names_the_function(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert answer_to(value).status == 500

    assert "odd failed" in caplog.text


@pytest.mark.parametrize("status", [200, 204, 299, 418, 599, 999])
def test_any_status_of_an_answer_is_sent(status: int) -> None:
    assert answer_to(lambda: func.HttpResponse(status_code=status)).status == status


def test_a_text_too_deep_to_be_json_is_text() -> None:
    assert answer_to("[" * 100_000).status == 200


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
RESPONSES = st.builds(
    lambda status, name, value, kind, charset: (
        lambda: func.HttpResponse(
            "body", status_code=status, headers={name: value}, mimetype=kind, charset=charset
        )
    ),
    st.integers() | st.integers(190, 1010) | ANY_TEXT | st.none() | st.floats(),
    ANY_TEXT | st.sampled_from(["x-a", "content-length", "set-cookie", "Content-Type"]),
    ANY_TEXT | st.integers() | st.none(),
    ANY_TEXT | st.none(),
    ANY_TEXT | st.none(),
)
TEXTS = ANY_TEXT | st.builds(
    json.dumps,
    st.fixed_dictionaries(
        {"body": ANY_TEXT | st.integers() | st.none()},
        optional={
            "status": ANY_TEXT | st.integers() | st.none(),
            "headers": st.dictionaries(ANY_TEXT, ANY_TEXT | st.integers(), max_size=2) | ANY_TEXT,
        },
    ),
)


@pytest.mark.long
@given(value=RESPONSES | TEXTS)
@settings(max_examples=200, deadline=None)
def test_whatever_a_function_returns_the_caller_gets_an_answer(value: Any) -> None:
    assert 200 <= answer_to(value).status <= 999
