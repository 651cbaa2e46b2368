"""The demo's client, a process of its own: sends requests through the public endpoint all the time.

It never retries, and says of each request how it ended. Failed is: no connection, no full answer
within five seconds, or a status of 500 and above. HTTP/1.1 by hand, because client libraries ask
again by themselves when a kept connection breaks.

Run: `python -m cli.demo.load_generator URL RATE FILE ADMIN_PORT SERVICE PROXY_FILE`. It writes one
line of JSON per request to FILE, and the proxy's counters of SERVICE to PROXY_FILE; SIGTERM ends it
after the last answer.
"""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

from cli.demo.proxy_counters import observe
from shared.kernel.clock import Clock, SystemClock, isoformat

ANSWER_WITHIN_S: Final = 5.0
CONNECTIONS_MAX: Final = 64
_FAILED_FROM: Final = 500
_FLUSH_EVERY_S: Final = 0.2
_BODY_MAX: Final = 1 << 20


@dataclass(frozen=True)
class Target:
    """Where requests go, taken apart once."""

    host: str
    port: int
    path: str

    @property
    def request(self) -> bytes:
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "User-Agent: runtime-demo\r\nAccept: */*\r\n\r\n"
        ).encode()


def target_of(url: str) -> Target:
    parts = urlsplit(url)
    return Target(parts.hostname or "", parts.port or 80, parts.path or "/")


class Connection:
    """One kept connection. After anything unusual it is not used again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def is_open(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def ask(self, target: Target) -> tuple[int, bytes]:
        """Return status and body of one answer.

        Raises:
            OSError, EOFError, ValueError: there is no full answer.
        """
        self._writer.write(target.request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        told = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = await self._body(told)
        if told.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), body

    async def _body(self, told: dict[str, str]) -> bytes:
        if "chunked" not in told.get("transfer-encoding", ""):
            return await self._reader.readexactly(int(told.get("content-length", "0")))
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(body) + size > _BODY_MAX:
                raise ValueError("the answer is too long")
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return body

    def close(self) -> None:
        self._writer.close()


class Sender:
    """Sends *rate* requests a second, whether or not earlier ones have been answered."""

    def __init__(self, target: Target, rate: float, out: TextIO, clock: Clock) -> None:
        self._target = target
        self._rate = rate
        self._out = out
        self._clock = clock
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self.is_stopping = asyncio.Event()

    async def run(self) -> None:
        """Send until stopped, then wait for what is under way."""
        began_s, sent = self._clock.monotonic_s(), 0
        async with asyncio.TaskGroup() as under_way:
            while not self.is_stopping.is_set():
                under_way.create_task(self._one())
                sent += 1
                ahead_s = began_s + sent / self._rate - self._clock.monotonic_s()
                if ahead_s > 0:
                    await self._clock.sleep(ahead_s)
        for connection in self._idle:
            connection.close()

    async def _one(self) -> None:
        async with self._free:
            at, began_s = self._clock.now(), self._clock.monotonic_s()
            status, release, failed = 0, "", ""
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    status, body = await self._ask()
                release = release_in(body)
                if status >= _FAILED_FROM:
                    failed = f"status {status}"
            except TimeoutError:
                failed = f"no full answer in {ANSWER_WITHIN_S:.0f} s"
            except (OSError, EOFError, ValueError) as broken:
                failed = f"{type(broken).__name__}: {broken}"
            took_ms = (self._clock.monotonic_s() - began_s) * 1000
            told = {
                "at": isoformat(at),
                "ms": round(took_ms, 2),
                "status": status,
                "release": release,
                "failed": failed,
            }
            self._out.write(json.dumps(told) + "\n")

    async def _ask(self) -> tuple[int, bytes]:
        connection = await self._connection()
        try:
            answer = await connection.ask(self._target)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return answer

    async def _connection(self) -> Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.is_open:
                return kept
        return Connection(*await asyncio.open_connection(self._target.host, self._target.port))


def release_in(body: bytes) -> str:
    """Return the release that an answer of `/-/versions.json` names, empty for another answer."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["datasette"]["version"])
    return ""


@dataclass(frozen=True)
class Proxy:
    """The proxy's admin port, the service to look at, and where what was seen is written."""

    admin_port: int
    service: str
    file: Path


async def run(url: str, rate: float, out: TextIO, proxy: Proxy, clock: Clock) -> None:
    """Send until SIGTERM, and watch the proxy beside it."""
    sender = Sender(target_of(url), rate, out, clock)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, sender.is_stopping.set)
    # Ctrl-C goes to the whole terminal; the demo decides when its client ends.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    beside = [
        asyncio.create_task(_flush(out, clock)),
        asyncio.create_task(observe(proxy.admin_port, proxy.service, proxy.file, clock)),
    ]
    await sender.run()
    for task in beside:
        task.cancel()
    out.flush()


async def _flush(out: TextIO, clock: Clock) -> None:
    while True:
        await clock.sleep(_FLUSH_EVERY_S)
        out.flush()


def main(url: str, rate: str, file: str, admin_port: str, service: str, proxy_file: str) -> None:
    proxy = Proxy(int(admin_port), service, Path(proxy_file))
    with Path(file).open("w", encoding="utf-8") as out:
        asyncio.run(run(url, float(rate), out, proxy, SystemClock()))


if __name__ == "__main__":
    main(*sys.argv[1:])
