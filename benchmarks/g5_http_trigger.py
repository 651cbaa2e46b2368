"""G5: an HTTP trigger with full Functions semantics, beside uvicorn + Starlette and others.

The work is the same everywhere: POST a JSON order → validate with pydantic → one INSERT → 201 with
a JSON body. Ours goes through the group commit (`local_cloud.sqlite`) at both settings, the peers
commit each insert. Each side is a process of its own; the client is this process, 32 kept-alive
connections on one loop.

Run as `.venv/bin/python benchmarks/g5_http_trigger.py`.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.processes import running  # noqa: E402

CONNECTIONS = 32
WARM_UP_S = 1.0
MEASURED_S = 4.0
ORDER = b'{"customer":"acme","sku":"A-1003","quantity":3,"note":"leave at the door"}'
KEY_FILE = Path(os.environ.get("G5_DATABASE", "") + ".key")
SCHEMA = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"
INSERT = "INSERT INTO orders (body) VALUES (?)"


class Order(BaseModel):
    customer: str = Field(min_length=1)
    sku: str = Field(pattern=r"^[A-Z]-\d{4}$")
    quantity: int = Field(ge=1, le=100)
    note: str = ""


def connect(synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        os.environ["G5_DATABASE"], isolation_level=None, check_same_thread=False, timeout=30
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(SCHEMA)
    return connection


# The sides


def serve_ours(port: int, synchronous: str) -> None:
    import uvloop

    from local_cloud.sqlite.database import Database
    from local_host.__main__ import exempt_from_collection
    from local_host.host import Host, HostSettings
    from local_host.model import App
    from shared.kernel.clock import SystemClock

    app = functions_app(synchronous, Database)

    async def main() -> None:
        host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
        with tempfile.TemporaryDirectory() as folder:
            host = Host(
                [App("bench", register=app, host_json=host_json)],
                HostSettings(port=port, checks_keys=True),
                folder=Path(folder),
            )
            await host.start()
            exempt_from_collection()
            assert host.keys is not None
            KEY_FILE.write_text(host.keys.function("post_order"))  # noqa: ASYNC240  before the run
            await SystemClock().sleep(3600)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def functions_app(synchronous: str, database_type: Any) -> Any:
    import azure.functions as func

    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    database = database_type(os.environ["G5_DATABASE"], SCHEMA, synchronous=synchronous)

    async def insert(body: str) -> int:
        written: int = await database.write(
            lambda connection: connection.execute(INSERT, (body,)).lastrowid
        )
        return written

    @app.route("tenants/{tenant}/orders", methods=["POST"])
    async def post_order(req: func.HttpRequest) -> func.HttpResponse:
        try:
            order = Order.model_validate_json(req.get_body())
        except ValidationError as problem:
            return func.HttpResponse(str(problem), status_code=400)
        number = await insert(order.model_dump_json())
        return func.HttpResponse(f'{{"id":{number}}}', status_code=201, mimetype="application/json")

    return app


def serve_starlette(port: int, synchronous: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    connection = connect(synchronous)

    async def post_order(request: Request) -> Response:
        try:
            order = Order.model_validate_json(await request.body())
        except ValidationError as problem:
            return Response(str(problem), status_code=400)
        assert request.path_params["tenant"]
        number = connection.execute(INSERT, (order.model_dump_json(),)).lastrowid
        return Response(f'{{"id":{number}}}', status_code=201, media_type="application/json")

    app = Starlette(routes=[Route("/tenants/{tenant}/orders", post_order, methods=["POST"])])
    uvicorn.run(
        app, host="127.0.0.1", port=port, http="httptools", loop="uvloop", access_log=False,
        log_level="error", lifespan="off",
    )  # fmt: skip


_framework_connection: list[sqlite3.Connection] = []


def framework_order(request: Any) -> Any:
    """Serve one request; functions-framework looks this name up in this file."""
    if not _framework_connection:
        _framework_connection.append(connect("NORMAL"))
    try:
        order = Order.model_validate_json(request.get_data())
    except ValidationError as problem:
        return str(problem), 400
    cursor = _framework_connection[0].execute(INSERT, (order.model_dump_json(),))
    return f'{{"id":{cursor.lastrowid}}}', 201, {"content-type": "application/json"}


# The client


class Caller(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last is whole."""

    def __init__(self, request: bytes, statuses: dict[bytes, int]) -> None:
        self._request = request
        self._statuses = statuses
        self._buffer = b""
        self.answered = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", at)
        length = int(head[at : stop if stop >= 0 else len(head)])
        if len(self._buffer) < end + 4 + length:
            return
        status = self._buffer[9:12]
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._buffer = self._buffer[end + 4 + length :]
        self.answered += 1
        self.transport.write(self._request)


async def load(port: int, path: str) -> float:
    """Return answers a second over the measured time; every answer must be a 201."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(ORDER)}\r\n\r\n"
    ).encode() + ORDER
    loop = asyncio.get_running_loop()
    statuses: dict[bytes, int] = {}
    callers = [Caller(request, statuses) for _ in range(CONNECTIONS)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    from shared.kernel.clock import SystemClock

    await SystemClock().sleep(WARM_UP_S)
    before, began = sum(c.answered for c in callers), time.monotonic()
    await SystemClock().sleep(MEASURED_S)
    rate = (sum(c.answered for c in callers) - before) / (time.monotonic() - began)
    assert set(statuses) == {b"201"}, statuses
    for caller in callers:
        caller.transport.abort()
    return rate


# The runs


@contextlib.contextmanager
def serving(command: list[str], port: int, folder: str, *, needs_key: bool) -> Iterator[str]:
    environment = {**os.environ, "G5_DATABASE": f"{folder}/orders.db", "PYTHONPATH": str(ROOT)}
    with running(command, env=environment, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{command} ended with {process.returncode}"
        key_file = Path(f"{folder}/orders.db.key")
        while needs_key and not (key_file.exists() and key_file.read_text()):
            assert time.monotonic() < until, "no key was written"
        yield f"?code={key_file.read_text()}" if needs_key else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measured(kind: str, synchronous: str) -> float:
    import uvloop

    from benchmarks.peer_environments import HOME, peers_python

    HOME.mkdir(exist_ok=True)
    port = free_port()
    python = sys.executable
    if kind != "ours":
        python = str(peers_python())
    command = [python, __file__, "--serve", kind, "--port", str(port), "--synchronous", synchronous]
    if kind == "framework":
        binary = str(Path(python).with_name("functions-framework"))
        command = [
            binary, "--source", __file__, "--target", "framework_order", "--port", str(port),
            "--host", "127.0.0.1",
        ]  # fmt: skip
    with (
        tempfile.TemporaryDirectory(dir=HOME) as folder,
        serving(command, port, folder, needs_key=kind == "ours") as query,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        path = "/" if kind == "framework" else f"/tenants/acme/orders{query}"
        if kind == "framework":
            _wait_for_answer(port)
        return runner.run(load(port, path))


def _wait_for_answer(port: int) -> None:
    """Gunicorn listens before its worker can answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", ORDER, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 201


def benchmark() -> int:
    from benchmarks.rounds import Goal, run

    return run(
        f"G5 HTTP trigger: POST, validate, one INSERT, 201; {CONNECTIONS} connections",
        "requests/s",
        {
            "ours, NORMAL": lambda: measured("ours", "NORMAL"),
            "uvicorn + Starlette, NORMAL": lambda: measured("starlette", "NORMAL"),
            "ours, FULL (group commit)": lambda: measured("ours", "FULL"),
            "uvicorn + Starlette, FULL": lambda: measured("starlette", "FULL"),
            "functions-framework, NORMAL": lambda: measured("framework", "NORMAL"),
        },
        [
            Goal("ours, NORMAL", "uvicorn + Starlette, NORMAL", 1.0),
            Goal("ours, FULL (group commit)", "uvicorn + Starlette, FULL", 3.0),
        ],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=["ours", "starlette"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--synchronous", choices=["NORMAL", "FULL"], default="NORMAL")
    asked = parser.parse_args()
    match asked.serve:
        case "ours":
            serve_ours(asked.port, asked.synchronous)
        case "starlette":
            serve_starlette(asked.port, asked.synchronous)
        case _:
            return benchmark()
    return 0


if __name__ == "__main__":
    sys.exit(main())
