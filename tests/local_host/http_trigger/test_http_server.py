"""The socket's side: bodies, answers, the 230 s limit; once over a real connection."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
import azure.functions as func
import pytest

from local_cloud.cloud import CloudSettings
from local_cloud.wire_endpoints import EMULATOR_KEY
from local_host.host import HostSettings
from local_host.http_trigger.http_server import AsgiApplication
from local_host.model import HttpAnswer, HttpCall
from shared.composition.embedded import installed_host
from tests.kit.hosting import embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual

SCOPE = {
    "type": "http",
    "method": "POST",
    "raw_path": b"/a%20b",
    "query_string": b"q=1",
    "headers": [(b"host", b"example.org:81"), (b"x-one", b"1")],
    "scheme": "http",
    "server": ("127.0.0.1", 7071),
}


async def exchange(
    entry: AsgiApplication, pieces: Sequence[bytes] = (b"",), scope: dict[str, Any] = SCOPE
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send one request to *entry* as uvicorn does; return status, headers and body."""
    waiting = list(pieces)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    await entry(scope, receive, send)
    start, *bodies = sent
    return start["status"], dict(start["headers"]), b"".join(m["body"] for m in bodies)


def test_a_request_is_handed_over_as_received() -> None:
    calls: list[HttpCall] = []

    async def handle(call: HttpCall) -> HttpAnswer:
        calls.append(call)
        return HttpAnswer(201, (("x-two", "2"),), b"out")

    answer = run_virtual(exchange(AsgiApplication(handle), [b"in", b"", b"put"]))

    assert answer == (201, {b"x-two": b"2", b"content-length": b"3"}, b"out")
    assert calls == [
        HttpCall(
            "POST",
            "/a%20b",
            "q=1",
            [("host", "example.org:81"), ("x-one", "1")],
            b"input",
            "http://example.org:81",
        )
    ]


def test_without_host_header_the_origin_is_the_sockets() -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(200, (), call.origin.encode())

    _, _, body = run_virtual(exchange(AsgiApplication(handle), scope={**SCOPE, "headers": []}))

    assert body == b"http://127.0.0.1:7071"


@pytest.mark.parametrize("pieces", [[b"12345"], [b"123", b"45"]], ids=["whole", "in-pieces"])
def test_a_body_over_the_limit_is_413_and_not_handed_over(pieces: list[bytes]) -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        raise AssertionError(call)

    status, _, body = run_virtual(exchange(AsgiApplication(handle, body_max_bytes=4), pieces))

    assert (status, body) == (413, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_has_no_length(status: int) -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(status)

    assert run_virtual(exchange(AsgiApplication(handle)))[1] == {}


def test_after_230_s_the_caller_gets_502_and_the_function_goes_on() -> None:
    ended: list[float] = []

    async def slow(call: HttpCall) -> HttpAnswer:
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(300, done.set_result, None)
        await done
        ended.append(asyncio.get_running_loop().time())
        return HttpAnswer(200, (), b"too late")

    status, _, body = run_virtual(exchange(AsgiApplication(slow)))

    assert (status, body) == (502, b"")
    assert ended == [300.0]


def bounded(**http: int) -> dict[str, Any]:
    return {"version": "2.0", "extensions": {"http": {"routePrefix": "", **http}}}


@pytest.mark.parametrize(
    ("bounds", "statuses", "together"),
    [
        ({"maxOutstandingRequests": 2}, [200, 200, 429, 429], 2),
        ({"maxConcurrentRequests": 1}, [200, 200, 200, 200], 1),
        ({"maxOutstandingRequests": 3, "maxConcurrentRequests": 1}, [200, 200, 200, 429], 1),
        ({}, [200, 200, 200, 200], 4),
    ],
    ids=["outstanding", "concurrent", "both", "unbounded"],
)
def test_requests_are_bounded_as_host_json_says(
    bounds: dict[str, int], statuses: list[int], together: int
) -> None:
    app = new_app()
    running, most = 0, 0

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, done.set_result, None)
        await done
        running -= 1
        return ""

    async def main() -> list[int]:
        async with hosting(embedded(app, host_json=bounded(**bounds))) as host:
            calls = [host.handle(HttpCall("GET", "/x")) for _ in range(4)]
            return [answer.status for answer in await asyncio.gather(*calls)]

    assert run_virtual(main()) == statuses
    assert most == together


@pytest.mark.real
async def test_a_real_connection_is_kept_alive_and_answers_in_order() -> None:
    app = new_app()

    @app.route("echo/{n}", methods=["POST", "HEAD"])
    async def echo(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(
            req.get_body() + req.route_params["n"].encode(), headers={"X-Url": req.url}
        )

    settings = HostSettings(port=0, environ={})
    async with (
        hosting(embedded(app), settings=settings) as host,
        aiohttp.ClientSession(host.base_url) as session,
    ):
        for n in range(3):
            async with session.post(f"/echo/{n}?a=b", data=b"body") as answer:
                assert await answer.read() == b"body%d" % n
                assert answer.headers["X-Url"] == f"{host.base_url}/echo/{n}?a=b"
        async with session.head("/echo/1") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "1")


@pytest.mark.real
async def test_an_official_client_reads_what_an_app_has_stored() -> None:
    from azure.cosmos.aio import CosmosClient

    from shared.persistence.store import Create, Partition

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = HostSettings(cloud=CloudSettings(cosmos_port=port), environ={})
    async with hosting(embedded(new_app()), settings=settings):
        offered = installed_host()
        assert offered is not None
        store = offered.storage.store("runtime", "orders")
        await store.batch(Partition("acme", "-"), [Create("o1", {"n": 1})])

        async with CosmosClient(f"http://127.0.0.1:{port}/", EMULATOR_KEY) as client:
            container = client.get_database_client("runtime").get_container_client("orders")
            found = [item["id"] async for item in container.query_items("SELECT * FROM c")]

    assert found == ["o1"]
