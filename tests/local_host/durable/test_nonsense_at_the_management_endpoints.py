"""Whatever a request to the management endpoints holds, it is answered, never with a defect."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import azure.durable_functions as df
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_host.model import App, HttpCall
from tests.kit.hosting import ask, hosting
from tests.kit.task_hub import durable_app
from tests.kit.virtual_time import run_virtual

BASE = "/runtime/webhooks/durabletask"
JSON = {"content-type": "application/json"}


def make_app(seen: list[Any]) -> df.DFApp:
    app = durable_app()

    @app.orchestration_trigger(context_name="context")
    def waits(context: Any) -> Any:
        yield context.wait_for_external_event("Go")

    @app.entity_trigger(context_name="context")
    def keeps(context: Any) -> None:
        seen.append(context.get_input())

    return app


def answer(
    method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async def main() -> tuple[int, bytes]:
        async with hosting(App("app", register=make_app([]))) as host:
            await ask(host, "POST", f"{BASE}/orchestrators/waits/i", headers=JSON)
            found = await ask(host, method, f"{BASE}/{path}", body=body, headers=headers or JSON)
            return found.status, found.body

    return run_virtual(main())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "orchestrators/waits?timeout=abc"),
        ("POST", "orchestrators/waits?timeout=nan"),
        ("POST", "orchestrators/waits?timeout=-1"),
        ("POST", "orchestrators/waits?timeout=1&pollingInterval=x"),
        ("GET", "instances?top=%C2%B2"),
        ("GET", f"instances?top={'9' * 5001}"),
        ("GET", "instances?top=-1"),
        ("GET", "instances?createdTimeFrom=yesterday"),
        ("GET", "instances?createdTimeFrom=0001-01-01T00:00:00%2B23:59"),
        ("GET", "instances?runtimeStatus=Tired"),
        ("POST", "instances/i/raiseEvent/%20"),
        ("POST", "entities/keeps/a%2Fb?op=x"),
    ],
)
def test_nonsense_in_the_address_is_a_400_that_says_what_is_expected(
    method: str, path: str
) -> None:
    status, body = answer(method, path)

    assert status == 400
    assert json.loads(body)["ExceptionMessage"]


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe{}", b"{", b"[" * 100_000, b"9" * 5000, b'{"a": \xed\xa0\xbd}'],
    ids=["not UTF-8", "half", "deep", "long number", "half a character"],
)
@pytest.mark.parametrize(
    "path", ["orchestrators/waits", "instances/i/raiseEvent/Go", "entities/keeps/a"]
)
def test_a_body_that_is_no_json_is_a_400(path: str, body: bytes) -> None:
    assert answer("POST", path, body=body)[0] == 400


def test_a_continuation_that_is_none_is_a_400() -> None:
    token = {"x-ms-continuation-token": "%%%"}

    assert answer("GET", "instances", headers=token)[0] == 400


TEXT = st.text(max_size=12) | st.sampled_from(["1", "abc", "²", "nan", "-1", "i", "true", "@x"])
NAMES = st.sampled_from(
    ["timeout", "pollingInterval", "top", "createdTimeFrom", "createdTimeTo", "runtimeStatus",
     "instanceIdPrefix", "showHistory", "op", "taskHub", "version", "reason"]
)  # fmt: skip


@pytest.mark.long
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    path=st.lists(
        TEXT
        | st.sampled_from(
            ["orchestrators", "instances", "entities", "waits", "keeps", "raiseEvent", "terminate",
             "rewind", "restart", "suspend", "resume"]
        ),
        max_size=5,
    ),
    query=st.lists(st.tuples(NAMES, TEXT), max_size=3),
    body=st.binary(max_size=20) | st.sampled_from([b"{}", b"null", b"[[", b'"x"']),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
    token=st.none() | st.text(max_size=8),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_request_finds_a_defect(
    *,
    method: str,
    path: list[str],
    query: list[tuple[str, str]],
    body: bytes,
    kind: str,
    token: str | None,
) -> None:
    headers = [("content-type", kind)] + ([("x-ms-continuation-token", token)] if token else [])
    behind = "/".join(quote(part, safe="") for part in path)
    asked = "&".join(f"{name}={quote(text, safe='')}" for name, text in query)
    call = HttpCall(method, f"{BASE}/{behind}", asked, headers, body)

    async def main() -> int:
        async with hosting(App("app", register=make_app([]))) as host:
            return (await host.handle(call)).status

    assert run_virtual(main()) < 500


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "text/csv"])
def test_an_entity_gets_a_plain_text_as_a_string(kind: str) -> None:
    seen: list[Any] = []

    async def main() -> int:
        async with hosting(App("app", register=make_app(seen))) as host:
            signalled = await ask(
                host, "POST", f"{BASE}/entities/keeps/a?op=x", body=b"5 apples",
                headers={"content-type": kind},
            )  # fmt: skip
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=5)
            return signalled.status

    assert run_virtual(main()) == 202
    assert seen == ["5 apples"]


def test_what_is_no_number_in_json_is_shown_as_text() -> None:
    app = durable_app()

    @app.orchestration_trigger(context_name="context")
    def gives(context: Any) -> Any:
        return [float("nan"), float("inf")]

    async def main() -> Any:
        async with hosting(App("app", register=app)) as host:
            await ask(host, "POST", f"{BASE}/orchestrators/gives/i", headers=JSON)
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=5)
            return json.loads((await ask(host, "GET", f"{BASE}/instances/i")).body)["output"]

    assert run_virtual(main()) == ["NaN", "Infinity"]
