"""The demo's load generator: a process that sends requests through the public endpoint.

It never retries, and records how each request ended. A request fails without a connection, without
a full response within five seconds, or with a status of 500 and above. It speaks HTTP/1.1 itself,
because client libraries retry on their own when a reused connection breaks.

Run: `python -m cli.demo.load_generator URL RATE FILE [PROXY_FOLDER SERVICE PROXY_FILE]`. It writes
one line of JSON per request to FILE and, of an environment on this machine, the counters that its
proxy has of SERVICE to PROXY_FILE; SIGTERM ends it after the last answer.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from cli.demo.proxy_counters import sample_counters
from shared.kernel.clock import Clock, SystemClock, isoformat

RESPONSE_WITHIN_S: Final = 5.0
CONNECTIONS_MAX: Final = 64
_FAILED_FROM: Final = 500
_FLUSH_INTERVAL_S: Final = 0.2
_BODY_MAX: Final = 1 << 20


@dataclass(frozen=True)
class Endpoint:
    """The parts of the URL that requests go to."""

    host: str
    port: int
    path: str

    @property
    def request(self) -> bytes:
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "User-Agent: runtime-demo\r\nAccept: */*\r\n\r\n"
        ).encode()


def parse_endpoint(url: str) -> Endpoint:
    parts = urlsplit(url)
    return Endpoint(parts.hostname or "", parts.port or 80, parts.path or "/")


class Connection:
    """One persistent connection; after an error it is not used again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def is_open(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def send(self, endpoint: Endpoint) -> tuple[int, bytes]:
        """Send one request; return status and body of the response.

        Raises:
            OSError, EOFError, ValueError: there is no full response.
        """
        self._writer.write(endpoint.request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = await self._read_body(headers)
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), body

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(body) + size > _BODY_MAX:
                raise ValueError("the response is too long")
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return body

    def close(self) -> None:
        self._writer.close()


class LoadGenerator:
    """Sends *rate* requests per second, independent of the responses (an open model)."""

    def __init__(self, endpoint: Endpoint, rate: float, out: TextIO, clock: Clock) -> None:
        self._endpoint = endpoint
        self._rate = rate
        self._out = out
        self._clock = clock
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self.is_stopping = asyncio.Event()

    async def run(self) -> None:
        """Send until stopped, then wait for the requests in progress."""
        started_s, sent = self._clock.monotonic_s(), 0
        async with asyncio.TaskGroup() as in_progress:
            while not self.is_stopping.is_set():
                in_progress.create_task(self._send())
                sent += 1
                ahead_s = started_s + sent / self._rate - self._clock.monotonic_s()
                if ahead_s > 0:
                    await self._clock.sleep(ahead_s)
        for connection in self._idle:
            connection.close()

    async def _send(self) -> None:
        """Send one request and record its result."""
        async with self._slots:
            sent_at, sent_s = self._clock.now(), self._clock.monotonic_s()
            status, release, failure = 0, "", ""
            try:
                async with asyncio.timeout(RESPONSE_WITHIN_S):
                    status, body = await self._exchange()
                release = release_in(body)
                if status >= _FAILED_FROM:
                    failure = f"status {status}"
            except TimeoutError:
                failure = f"no full answer in {RESPONSE_WITHIN_S:.0f} s"
            except (OSError, EOFError, ValueError) as broken:
                failure = f"{type(broken).__name__}: {broken}"
            latency_ms = (self._clock.monotonic_s() - sent_s) * 1000
            record = {
                "at": isoformat(sent_at),
                "ms": round(latency_ms, 2),
                "status": status,
                "release": release,
                "failed": failure,
                "load": round(os.getloadavg()[0], 1),
            }
            self._out.write(json.dumps(record) + "\n")

    async def _exchange(self) -> tuple[int, bytes]:
        connection = await self._connection()
        try:
            response = await connection.send(self._endpoint)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return response

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return Connection(*await asyncio.open_connection(self._endpoint.host, self._endpoint.port))


def release_in(body: bytes) -> str:
    """Return the `version` in a response, Datasette's own where it is; empty for another one."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(body)
        return str(content.get("datasette", content)["version"])
    return ""


@dataclass(frozen=True)
class Proxy:
    """The proxy's folder, the service to sample, and the file for its counters."""

    folder: Path
    service: str
    file: Path


async def run(url: str, rate: float, out: TextIO, proxy: Proxy | None, clock: Clock) -> None:
    """Send until SIGTERM, and sample the *proxy* meanwhile, where there is one."""
    generator = LoadGenerator(parse_endpoint(url), rate, out, clock)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, generator.is_stopping.set)
    # Ctrl-C reaches all processes of the terminal; only the demo ends its load generator.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    background = [asyncio.create_task(_flush(out, clock))]
    if proxy is not None:
        sampling = sample_counters(proxy.folder, proxy.service, proxy.file, clock)
        background.append(asyncio.create_task(sampling))
    await generator.run()
    for task in background:
        task.cancel()
    out.flush()


async def _flush(out: TextIO, clock: Clock) -> None:
    while True:
        await clock.sleep(_FLUSH_INTERVAL_S)
        out.flush()


def main(url: str, rate: str, file: str, *proxied: str) -> None:
    proxy = None
    if proxied:
        folder, service, counters = proxied
        proxy = Proxy(Path(folder), service, Path(counters))
    with Path(file).open("w", encoding="utf-8") as out:
        asyncio.run(run(url, float(rate), out, proxy, SystemClock()))


if __name__ == "__main__":
    main(*sys.argv[1:])
