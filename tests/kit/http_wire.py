"""A connection of the host's HTTP server without a socket, on a virtual clock."""

import asyncio
from collections.abc import Sequence
from typing import Any

from local_host.http_trigger.http_connection import Connections, HttpConnection
from local_host.http_trigger.request_reader import HttpLimits
from local_host.http_trigger.response_heads import ResponseHeads
from local_host.model import HeadCheck, HttpAnswer, HttpCall, HttpHandler
from tests.kit.virtual_time import LoopClock


class Pipe(asyncio.Transport):
    """Keeps what is written. `reads` is False while the connection does not want to be sent to."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 7071), "peername": ("127.0.0.1", 50000)})
        self.written = b""
        self.is_closed = False
        self.reads = True

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_closed = True

    def answers(self) -> list[tuple[int, dict[str, str], bytes]]:
        """Return status, headers and body of each answer so far, and forget them."""
        found, rest = [], self.written
        self.written = b""
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            length = int(headers.get("content-length", 0))
            found.append((int(first.split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return found

    def statuses(self) -> list[int]:
        return [status for status, _, _ in self.answers()]


async def take_any(_head: HttpCall) -> HttpAnswer | None:
    return None


def connect(
    handle: HttpHandler, check: HeadCheck = take_any, **limits: Any
) -> tuple[HttpConnection, Pipe]:
    """Return a new connection whose calls *handle* answers, and its transport."""
    loop = asyncio.get_running_loop()
    shared = Connections(handle, check, ResponseHeads(LoopClock()), HttpLimits(**limits), loop)
    pipe = Pipe()
    connection = HttpConnection(shared)
    connection.connection_made(pipe)
    return connection, pipe


async def settled() -> None:
    """Let everything that can run now run."""
    for _ in range(10):
        await LoopClock().sleep(0)


class Echo:
    """Answers with method, path and body; `/wait/...` only when released."""

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []
        self.ended: list[str] = []
        self.released = asyncio.Event()

    async def __call__(self, call: HttpCall) -> HttpAnswer:
        self.calls.append(call)
        if call.path.startswith("/wait"):
            await self.released.wait()
        self.ended.append(call.path)
        return HttpAnswer(200, (), f"{call.method} {call.path} ".encode() + call.body)


def request(
    line: str, body: bytes = b"", headers: Sequence[str] = (), *, length: int | None = None
) -> bytes:
    """Return one request; *length* announces another length than the body's."""
    announced = len(body) if length is None else length
    lines = [f"{line} HTTP/1.1", "Host: here", *headers]
    if announced:
        lines.append(f"Content-Length: {announced}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
