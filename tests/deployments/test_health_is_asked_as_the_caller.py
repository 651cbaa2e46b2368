"""Before a promotion health is asked over its own route, with the caller's token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from function_apps.deployments.function_app import HealthOverHttp
from shared.contracts.values import ServiceId
from shared.kernel.errors import Denied, Invalid, NotFound, Refused, Unauthenticated, Unavailable
from shared.web.reader import HttpReader
from tests.deployments.driven import TEST, Soaked, driven

SERVICE = ServiceId("svc-abcdefghijkl-abcdefghij")
pytestmark = pytest.mark.real


@asynccontextmanager
async def answering(status: int, body: str, seen: list[Mapping[str, str]]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        seen.append({"path": request.path, "token": request.headers["Authorization"]})
        return web.Response(status=status, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    try:
        yield f"http://127.0.0.1:{address[1]}"
    finally:
        await runner.cleanup()


async def test_the_answer_is_healths_own_resource() -> None:
    world = driven()
    await world.tell()
    soaked = Soaked()
    soaked.app = world.app
    (expected,) = await soaked.ask([SERVICE], token="t")
    seen: list[Mapping[str, str]] = []

    async with answering(200, expected.model_dump_json(by_alias=True), seen) as base:
        (said,) = await HealthOverHttp(HttpReader(base)).ask([SERVICE], token="t")

    assert said == expected
    assert said.environment_id == TEST
    assert seen == [{"path": f"/v1/runtime/services/{SERVICE}/health", "token": "Bearer t"}]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Invalid),
        (401, Unauthenticated),
        (403, Denied),
        (404, NotFound),
        (409, Unavailable),
        (302, Unavailable),
        (503, Unavailable),
    ],
)
async def test_what_health_refuses_is_refused_in_the_same_family(
    status: int, error: type[Refused | Unavailable]
) -> None:
    async with answering(status, "{}", []) as base:
        with pytest.raises(error):
            await HttpReader(base).get("/x", "t")


async def test_a_health_that_does_not_answer_is_away() -> None:
    async with answering(200, "{}", []) as base:
        pass

    with pytest.raises(Unavailable, match="no answer"):
        await HttpReader(base).get("/x", "t")
