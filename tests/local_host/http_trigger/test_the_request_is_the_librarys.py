"""The host's cheap request behaves as the one the library would have built, member by member."""

from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest
from azure.functions.http import HttpRequest

from local_host.http_trigger.http_binding import Request
from local_host.model import HttpCall

FORM = "application/x-www-form-urlencoded"
CALLS = {
    "json": HttpCall(
        "post",
        "/x/1",
        "a=1&b=2",
        [("content-type", "application/json"), ("x-a", "1")],
        b'{"n": 1}',
        "http://h:1",
    ),
    "form": HttpCall("PUT", "/x/1", "", [("content-type", FORM)], b"p=1&q=2", "http://h:1"),
    "bare": HttpCall("GET", "/x/1", "", [], b"", "http://h:1"),
}


def by_the_library(call: HttpCall) -> HttpRequest:
    query = f"?{call.query}" if call.query else ""
    return HttpRequest(
        call.method,
        f"{call.origin}{call.path}{query}",
        headers=dict(call.headers),
        params=dict(pair.split("=") for pair in call.query.split("&") if pair),
        route_params={"id": "1"},
        body_type="bytes",
        body=call.body,
    )


def outcome(read: Callable[[Any], Any], request: Any) -> Any:
    try:
        return read(request)
    except Exception as problem:  # noqa: BLE001  which one is what is compared
        return type(problem), str(problem)


MEMBERS: dict[str, Callable[[Any], Any]] = {
    "method": lambda r: r.method,
    "url": lambda r: r.url,
    "headers": lambda r: dict(r.headers),
    "a-header-in-any-case": lambda r: r.headers.get("CONTENT-TYPE"),
    "params": lambda r: dict(r.params),
    "route_params": lambda r: dict(r.route_params),
    "get_body": lambda r: r.get_body(),
    "get_json": lambda r: r.get_json(),
    "form": lambda r: dict(r.form),
    "files": lambda r: dict(r.files),
    "params-cannot-be-changed": lambda r: r.params.update({"x": "y"}),
}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("call", CALLS)
def test_every_member_gives_what_the_librarys_gives(call: str, member: str) -> None:
    ours = Request(CALLS[call], {"id": "1"})

    assert outcome(MEMBERS[member], ours) == outcome(MEMBERS[member], by_the_library(CALLS[call]))


def test_every_public_member_is_compared() -> None:
    named = {member.split("-")[0] for member in MEMBERS}

    assert {name for name in dir(HttpRequest) if not name.startswith("_")} <= named
    assert issubclass(Request, func.HttpRequest)
