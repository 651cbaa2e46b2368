"""A webhook is asked by a signed request, at addresses that the guard lets through, and bounded."""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import web

from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.passwords.webhooks import (
    SignedWebhooks,
    ValueRequest,
    WebhookDenied,
    WebhookRefused,
)
from shared.probing.signed_request import SIGNATURE, TIMESTAMP, signature
from shared.vault.port import SecretValue

KEY: Final = SecretValue("k" * 32)
REQUEST: Final = ValueRequest("rot-1", "env-a", "api-key")
LOOPBACK: Final = (ipaddress.ip_network("127.0.0.1/32"),)


@asynccontextmanager
async def _served(status: int, answer: bytes) -> AsyncIterator[tuple[str, list[web.Request]]]:
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        asked.append(request)
        return web.Response(status=status, body=answer, headers={"Location": "http://127.0.0.1/"})

    app = web.Application()
    app.router.add_post("/new", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/new", asked
    finally:
        await runner.cleanup()


async def _asked(status: int, answer: bytes) -> tuple[SecretValue, list[web.Request]]:
    async with _served(status, answer) as (url, asked):
        webhooks = SignedWebhooks(SystemClock(), owned=LOOPBACK)
        return await webhooks.new_value(url, KEY, REQUEST), asked


def test_a_value_is_what_the_service_answers_to_a_request_that_it_can_verify() -> None:
    async def main() -> Any:
        async with _served(200, json.dumps({"value": "made there"}).encode()) as (url, asked):
            value = await SignedWebhooks(SystemClock(), owned=LOOPBACK).new_value(url, KEY, REQUEST)
            (request,) = asked
            return value, dict(request.headers), await request.read()

    value, headers, body = asyncio.run(main())

    assert value.reveal() == "made there"
    expected = signature(KEY.reveal(), headers[TIMESTAMP], body)
    assert hmac.compare_digest(headers[SIGNATURE], expected)
    assert signature("other", headers[TIMESTAMP], body) != expected
    assert (headers["Idempotency-Key"], json.loads(body)["secretName"]) == ("rot-1", "api-key")


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        pytest.param(400, b"{}", WebhookRefused, id="refused"),
        pytest.param(302, b"", WebhookRefused, id="elsewhere"),
        pytest.param(200, b"no json, s3cret", WebhookRefused, id="no-json"),
        pytest.param(200, b'{"value": 1}', WebhookRefused, id="no-text"),
        pytest.param(200, b'{"value": ""}', WebhookRefused, id="empty"),
        pytest.param(503, b"", Unavailable, id="away"),
        pytest.param(429, b"", Unavailable, id="throttled"),
        pytest.param(200, b" " * 70_000, Unavailable, id="endless"),
    ],
)
def test_other_answers_are_refused_or_tried_again_and_stand_in_no_error(
    status: int, answer: bytes, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as refused:
        asyncio.run(_asked(status, answer))

    assert "s3cret" not in str(refused.value)


def test_a_service_that_is_not_there_is_away() -> None:
    async def main() -> None:
        async with _served(200, b"") as (url, _):
            pass
        await SignedWebhooks(SystemClock(), owned=LOOPBACK).new_value(url, KEY, REQUEST)

    with pytest.raises(Unavailable):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        pytest.param("http://hooks.test/", ["203.0.114.1"], id="no-https"),
        pytest.param("https://127.0.0.1/", [], id="this-machine"),
        pytest.param("https://169.254.169.254/", [], id="metadata"),
        pytest.param("https://hooks.test/", ["10.0.0.1"], id="a-name-of-a-private-address"),
        pytest.param("https://hooks.test/", ["8.8.8.8", "127.0.0.1"], id="one-of-two"),
        pytest.param("https://user@hooks.test/", ["8.8.8.8"], id="credentials"),
    ],
)
def test_no_request_goes_where_the_guard_denies_it(url: str, addresses: Sequence[str]) -> None:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    with pytest.raises(WebhookDenied):
        asyncio.run(SignedWebhooks(SystemClock(), resolve=resolve).new_value(url, KEY, REQUEST))
