"""The head of a request: how large, how slow; over real connections."""

import asyncio

import azure.functions as func
import pytest
import uvicorn
from uvicorn.server import ServerState

from local_host.host import HostSettings
from local_host.http_trigger.http_protocol import BoundedProtocol
from tests.kit.hosting import embedded, hosting, new_app

pytestmark = pytest.mark.real
HEAD = b"GET /hello HTTP/1.1\r\nHost: here\r\n"


def an_app() -> func.FunctionApp:
    app = new_app()

    @app.route("hello", methods=["GET"])
    async def hello(req: func.HttpRequest) -> str:
        return str(len(req.headers.get("x-long", "")))

    return app


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, each once the one before has left; return all until the host closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("length", "status"), [(20_000, b"200"), (10_000_000, b"431")], ids=["long", "too-long"]
)
async def test_a_head_has_a_size(length: int, status: bytes) -> None:
    async with hosting(embedded(an_app()), settings=HostSettings(port=0, environ={})) as host:
        pieces = [HEAD, b"X-Long: "] + [b"a" * 1000] * (length // 1000)

        answer = await exchange(
            int(host.base_url.rpartition(":")[2]), *pieces, b"\r\nConnection: close\r\n\r\n"
        )

        assert answer.split(b" ")[1:2] == [status] or (answer == b"reset" and status == b"431")


class Hasty(BoundedProtocol):
    head_max_s = 0.05


async def test_a_head_that_does_not_end_costs_its_connection() -> None:
    config = uvicorn.Config(never_asked, log_config=None, lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Hasty(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0
    )

    answer = await exchange(server.sockets[0].getsockname()[1], HEAD)

    assert answer.startswith(b"HTTP/1.1 408 ")
    server.close()


async def never_asked(scope: object, receive: object, send: object) -> None:
    raise AssertionError("a request without an end is none")
