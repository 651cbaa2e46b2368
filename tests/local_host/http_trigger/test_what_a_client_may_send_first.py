"""The head of a request, over a real connection: how large it may be."""

import asyncio

import azure.functions as func
import pytest

from local_host.host import HostSettings
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
