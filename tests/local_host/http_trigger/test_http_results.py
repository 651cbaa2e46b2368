"""What a caller gets for what a function returns (protocol page, section 2, HTTP, "Result")."""

import json
from typing import Any

import azure.functions as func
import pytest

from tests.kit.hosting import ask, embedded, header, hosting, new_app
from tests.kit.virtual_time import run_virtual

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
WHOLE_COOKIE = (
    "foo3=42; Domain=example.com; Expires=Thu, 12-Jan-2017 13:55:08 GMT; Path=/;"
    " Max-Age=10000000; Secure; HttpOnly"
)
WHOLE_COOKIE_ANEW = (
    "foo3=42; expires=Thu, 12 Jan 2017 13:55:08 GMT; max-age=10000000;"
    " domain=example.com; path=/; secure; httponly"
)


def returning(value: Any) -> func.FunctionApp:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest):  # type: ignore[no-untyped-def]  # noqa: ANN202
        if isinstance(value, Exception):
            raise value
        return value

    return app


def answered(value: Any) -> tuple[int, str | None, bytes]:
    async def main() -> tuple[int, str | None, bytes]:
        async with hosting(embedded(returning(value))) as host:
            answer = await ask(host, "GET", "/x")
            return answer.status, header(answer, "content-type"), answer.body

    return run_virtual(main())


@pytest.mark.parametrize(
    ("value", "status", "content_type", "body"),
    [
        pytest.param("plain words", 200, TEXT, b"plain words", id="text"),
        pytest.param('"quoted"', 200, TEXT, b"quoted", id="a-json-string-loses-its-quotes"),
        pytest.param('{"a":1}', 200, JSON, b'{\n  "a": 1\n}', id="json-is-written-again"),
        pytest.param(
            '{"body":"b","status":201,"headers":{"x-a":"1"}}', 201, TEXT, b"b", id="whole-response"
        ),
        pytest.param(
            '{"body":{"a":1},"statusCode":"202"}', 202, JSON, b'{\n  "a": 1\n}', id="object"
        ),
        pytest.param('{"body":null,"status":204}', 204, JSON, b"", id="null-body"),
        pytest.param(func.HttpResponse(), 200, TEXT, b"", id="an-empty-response-is-200"),
        pytest.param(
            func.HttpResponse(b"\x00", mimetype="image/png", status_code=201),
            201,
            "image/png",
            b"\x00",
            id="bytes-and-mimetype",
        ),
        pytest.param(
            func.HttpResponse("{}", headers={"Content-Type": "application/x+json"}),
            200,
            "application/x+json",
            b"{}",
            id="the-header-wins",
        ),
        pytest.param(None, 500, None, b"", id="none"),
        pytest.param({"a": 1}, 500, None, b"", id="a-dict"),
        pytest.param(b"bytes", 500, None, b"", id="bytes"),
        pytest.param(ValueError("secret detail"), 500, None, b"", id="an-exception-tells-nothing"),
    ],
)
def test_a_result_becomes_the_answer_that_azure_gives(
    value: Any, status: int, content_type: str | None, body: bytes
) -> None:
    assert answered(value) == (status, content_type, body)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (WHOLE_COOKIE, [WHOLE_COOKIE_ANEW]),
        ("foo=bar", ["foo=bar; domain=; path="]),
        ("", []),
        ("a=1; SameSite=Lax", ["a=1; domain=; path=; samesite=lax"]),
    ],
    ids=["every-attribute", "plain", "empty-is-dropped", "same-site"],
)
def test_a_cookie_is_written_anew(written: str, sent: list[str]) -> None:
    async def main() -> list[str]:
        response = func.HttpResponse(headers={"Set-Cookie": written})
        async with hosting(embedded(returning(response))) as host:
            answer = await ask(host, "GET", "/x")
            return [value for name, value in answer.headers if name == "set-cookie"]

    assert run_virtual(main()) == sent


def test_a_cookie_whose_expiry_is_no_date_is_a_500() -> None:
    status, _, _ = answered(func.HttpResponse(headers={"Set-Cookie": "a=1; Expires=tomorrow"}))

    assert status == 500


def test_several_cookies_stay_several_headers() -> None:
    response = func.HttpResponse()
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")

    async def main() -> list[str]:
        async with hosting(embedded(returning(response))) as host:
            answer = await ask(host, "GET", "/x")
            return [value.split(";")[0] for name, value in answer.headers if name == "set-cookie"]

    assert run_virtual(main()) == ["a=1", "b=2"]


@pytest.mark.parametrize(("is_set", "status"), [(True, 201), (False, 200)], ids=["set", "unset"])
def test_a_response_may_come_through_an_out_parameter(is_set: bool, status: int) -> None:  # noqa: FBT001
    app = new_app()

    @app.route("x", binding_arg_name="out")
    async def f(req: func.HttpRequest, out: func.Out[func.HttpResponse]) -> None:
        if is_set:
            out.set(func.HttpResponse(status_code=201))

    async def main() -> int:
        async with hosting(embedded(app)) as host:
            return (await ask(host, "GET", "/x")).status

    assert run_virtual(main()) == status


def test_a_function_gets_its_request_as_the_worker_builds_it() -> None:
    app = new_app()

    @app.route("x/{id}/{*rest}", methods=["POST"])
    async def f(req: func.HttpRequest) -> func.HttpResponse:
        seen = {
            "method": req.method,
            "headers": dict(req.headers),
            "params": dict(req.params),
            "route": dict(req.route_params),
            "json": req.get_json(),
        }
        return func.HttpResponse(json.dumps(seen))

    async def main() -> Any:
        async with hosting(embedded(app)) as host:
            answer = await ask(
                host,
                "POST",
                "/x/a%20b/c/d?q=1&q=2&empty=&z=%C3%A4",
                headers={"x-one": "1"},
                body=b"[1]",
            )
            return json.loads(answer.body)

    assert run_virtual(main()) == {
        "method": "POST",
        "headers": {"x-one": "1"},
        "params": {"q": "1,2", "z": "ä"},
        "route": {"id": "a b", "rest": "c/d"},
        "json": [1],
    }


def test_a_body_without_announced_length_arrives_whole() -> None:
    async def main() -> bytes:
        app = new_app()

        @app.route("x")
        async def f(req: func.HttpRequest) -> func.HttpResponse:
            return func.HttpResponse(f"{len(req.get_body())}")

        async with hosting(embedded(app)) as host:
            headers = {"transfer-encoding": "chunked"}
            return (await ask(host, "POST", "/x", headers=headers, body=b"abc")).body

    assert run_virtual(main()) == b"3"
