"""The prober against real servers: what each answer means, and that nothing is left behind."""

import asyncio
import gc
import ipaddress
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from local_agent.probes import send_probe
from shared.kernel.clock import SystemClock
from shared.probing.guard import resolve_by_system
from shared.probing.http_prober import HttpProber
from shared.surfaces.spec import HttpProbe

pytestmark = pytest.mark.real

OWNED = (ipaddress.ip_network("127.0.0.1/32"),)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve on a free port; at the end every connection is closed."""
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


def answering(head: str, body: str = "") -> tuple[Serve, list[str]]:
    """Return a server that answers everything alike, and the requests it got."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return serve, requests


def a_prober(**how: object) -> HttpProber:
    return HttpProber(SystemClock(), owned=OWNED, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["200 OK", "204 Empty", "301 Moved\r\nLocation: /", "399 Odd"])
async def test_200_to_399_pass(head: str) -> None:
    serve, _ = answering(head)
    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/health", 5.0)

    assert (result.passed, result.code) == (True, head[:3])


@pytest.mark.parametrize("head", ["400 Bad", "404 Not Found", "500 Broken", "503 Away"])
async def test_everything_else_does_not(head: str) -> None:
    serve, _ = answering(head)
    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/health", 5.0)

    assert (result.passed, result.code) == (False, head[:3])


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_an_answer_without_an_end_does_not_pass() -> None:
    async with listening(endless) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/health", 5.0)

    assert (result.passed, result.code) == (False, "TooLong")


async def test_an_instance_whose_answer_has_no_end_is_not_ready() -> None:
    async with listening(endless) as port, aiohttp.ClientSession(auto_decompress=False) as session:
        refusal = await send_probe(session, port, HttpProbe("/", timeout_s=5.0))

    assert refusal == "GET / answered more than 64 KiB"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp\r\n")
    await writer.drain()
    writer.write_eof()
    await reader.read()


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        pytest.param(answering("200 OK")[0], "", id="passes"),
        pytest.param(answering("404 Nope")[0], "GET /health answered 404", id="a-status"),
        pytest.param(silent, "GET /health got no answer within 0.2 s", id="silence"),
        pytest.param(no_http, "GET /health got no answer in HTTP", id="another-protocol"),
    ],
)
async def test_a_readiness_probe_says_what_it_got(serve: Serve, words: str) -> None:
    async with listening(serve) as port, aiohttp.ClientSession(auto_decompress=False) as session:
        said = await send_probe(session, port, HttpProbe("/health", timeout_s=0.2))

    assert said == words


@pytest.mark.parametrize("path", ["/health", ""])
async def test_where_nobody_listens_a_readiness_probe_asks_for_the_port(path: str) -> None:
    async with listening(silent) as port:
        pass
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        said = await send_probe(session, port, HttpProbe(path))

    assert said == f"connection refused on port $PORT ({port}): does it listen on $PORT?"


async def test_an_answer_that_is_packed_is_not_unpacked() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + bomb)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/health", 5.0)

    assert (result.passed, result.code) == (True, "200")


async def test_a_redirect_is_not_followed() -> None:
    target, asked = answering("200 OK")
    async with listening(target) as other:
        serve, _ = answering(f"302 Found\r\nLocation: http://127.0.0.1:{other}/")
        async with listening(serve) as port:
            result = await a_prober().probe(f"http://127.0.0.1:{port}/", 5.0)

    assert (result.code, asked) == ("302", [])


async def test_a_path_is_sent_as_it_stands() -> None:
    serve, requests = answering("200 OK")
    async with listening(serve) as port:
        await a_prober().probe(f"http://127.0.0.1:{port}/a%2Fb/../c?d=%20", 5.0)

    assert requests[0].startswith("GET /a%2Fb/../c?d=%20 HTTP/1.1\r\n")


async def test_nobody_listening_is_refused() -> None:
    serve, _ = answering("200 OK")
    async with listening(serve) as port:
        pass
    result = await a_prober().probe(f"http://127.0.0.1:{port}/", 5.0)

    assert (result.passed, result.code) == (False, "Refused")


async def test_silence_is_a_timeout_and_lasts_no_longer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the prober has given up

    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/", 0.2)

    assert (result.passed, result.code) == (False, "Timeout")
    assert 200 <= result.latency_ms < 2000


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"not http at all\r\n\r\n", id="another-protocol"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf", id="a-torn-body"),
    ],
)
async def test_an_answer_that_breaks_off_does_not_pass(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/", 5.0)

    assert (result.passed, result.code) == (False, "Broken")


async def test_an_address_that_nobody_owns_is_not_asked() -> None:
    serve, requests = answering("200 OK")
    async with listening(serve) as port:
        result = await HttpProber(SystemClock()).probe(f"http://127.0.0.1:{port}/", 5.0)

    assert (result.code, requests) == ("Denied", [])


async def test_a_name_without_an_address_is_a_dns_failure() -> None:
    result = await a_prober().probe("http://nowhere.invalid/", 5.0)

    assert (result.passed, result.code) == (False, "Dns")


async def test_the_system_resolves_a_name_to_addresses() -> None:
    assert "127.0.0.1" in await resolve_by_system("127.0.0.1")


async def test_nothing_stays_open_after_a_probe() -> None:
    serve, _ = answering("200 OK")
    gc.collect()  # what other tests left open is not of this one
    async with listening(serve) as port:
        prober = a_prober()
        results = await asyncio.gather(
            *(prober.probe(f"http://127.0.0.1:{port}/", 5.0) for _ in range(50))
        )
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always")
        gc.collect()

    assert all(result.passed for result in results)
    assert not unclosed
