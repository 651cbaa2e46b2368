"""The server over real connections, and how many calls an app takes at once."""

import asyncio
from typing import Any

import aiohttp
import azure.functions as func
import pytest

from local_cloud.account_keys import COSMOS_PUBLISHED
from local_cloud.cloud import CloudSettings
from local_host.host import HostSettings
from local_host.http_trigger.http_server import HttpServer
from local_host.model import HttpCall
from shared.composition.embedded import installed_host
from shared.kernel.clock import SystemClock
from tests.kit.hosting import embedded, hosting, new_app
from tests.kit.http_wire import Echo, request
from tests.kit.real_system import free_port
from tests.kit.virtual_time import run_virtual


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
async def test_a_stop_lets_running_calls_be_answered_and_closes_the_idle_connections() -> None:
    echo = Echo()
    server = HttpServer("127.0.0.1", 0, grace_s=5)
    server.open()
    await server.start(echo, SystemClock())
    idle = await asyncio.open_connection("127.0.0.1", server.port)
    busy = await asyncio.open_connection("127.0.0.1", server.port)
    busy[1].write(request("GET /wait"))
    while not echo.calls:
        await SystemClock().sleep(0.001)

    stopping = asyncio.create_task(server.stop())
    assert await idle[0].read() == b""
    echo.released.set()
    answer = await busy[0].read()
    await stopping

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    idle[1].close()
    busy[1].close()


@pytest.mark.real
async def test_a_call_that_outlasts_the_grace_is_canceled_and_answered_with_500() -> None:
    echo = Echo()
    server = HttpServer("127.0.0.1", 0, grace_s=0.05)
    server.open()
    await server.start(echo, SystemClock())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request("GET /wait"))
    while not echo.calls:
        await SystemClock().sleep(0.001)

    await server.stop()

    assert (await reader.read()).startswith(b"HTTP/1.1 500 ")
    assert echo.ended == []
    writer.close()


@pytest.mark.real
async def test_an_official_client_reads_what_an_app_has_stored() -> None:
    from azure.cosmos.aio import CosmosClient

    from shared.persistence.store import Create, Partition

    port = free_port()
    settings = HostSettings(cloud=CloudSettings(cosmos_port=port), environ={})
    async with hosting(embedded(new_app()), settings=settings):
        offered = installed_host()
        assert offered is not None
        store = offered.storage.store("runtime", "orders")
        await store.batch(Partition("acme", "-"), [Create("o1", {"n": 1})])

        async with CosmosClient(f"http://127.0.0.1:{port}/", COSMOS_PUBLISHED) as client:
            container = client.get_database_client("runtime").get_container_client("orders")
            found = [item["id"] async for item in container.query_items("SELECT * FROM c")]

    assert found == ["o1"]
