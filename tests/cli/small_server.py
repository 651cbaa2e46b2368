"""A server on loopback that answers what a test tells it, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """`answer` gives status and body for each request; None closes the connection instead."""

    url: str
    port: int
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(
    answer: Callable[[Asked], tuple[int, Any] | None],
    *,
    keeps_connections: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    server = Server("", 0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            received = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, received, self.rfile.read(length))
            server.asked.append(asked)
            response = answer(asked)
            if response is None:
                self.close_connection = True
                return
            status, body = response
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if not keeps_connections:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.port = listening.server_port
    server.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
