"""An instance that cannot say its release is reported by what it answered instead."""

import asyncio

import pytest

from local_agent.release_question import ask_release
from shared.surfaces.release_answer import ReleaseUnknown
from shared.surfaces.spec import ReleaseQuestion

QUESTION = ReleaseQuestion("/v", "shop.version")


async def asked(body: bytes, status: str = "200 OK") -> str:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)))
        writer.write(body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        return await ask_release(server.sockets[0].getsockname()[1], QUESTION)


@pytest.mark.real
@pytest.mark.parametrize(
    ("value", "release"), [('"1.2"', "1.2"), ("7", "7"), ('"' + "9" * 9000 + '"', "9" * 200)]
)
async def test_the_field_is_the_release(value: str, release: str) -> None:
    assert await asked(f'{{"shop": {{"version": {value}}}}}'.encode()) == release


@pytest.mark.real
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected JSON, the answer is 404 without"),
        (b"<html>", "expected JSON, the answer is 404 without"),
        (b"\xff", "expected JSON, the answer is 404 without"),
        (b"[" * 60_000, "expected JSON, the answer is 404 without"),
        (b'{"shop": {"version": "1.0\\ud800"}}', "expected JSON, the answer is 404 without"),
        (b"[]", "the JSON of its answer 404 has no 'shop'"),
        (b'"shop"', "the JSON of its answer 404 has no 'shop'"),
        (b'{"shop": {}}', "the JSON of its answer 404 has no 'version'"),
        (b'{"shop": {"version": []}}', "expected a text or number, the field has a list"),
        (b'{"shop": {"version": {}}}', "expected a text or number, the field has an object"),
        (b"x" * 70_000, "the answer is longer than 65536 bytes"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_what_is_no_answer_is_said(body: bytes, message: str) -> None:
    with pytest.raises(ReleaseUnknown) as unknown:
        await asked(body, "404 Not Found")

    assert str(unknown.value) == message


@pytest.mark.real
async def test_nobody_listening_is_said() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

    with pytest.raises(ReleaseUnknown, match="Cannot connect"):
        await ask_release(port, QUESTION)
