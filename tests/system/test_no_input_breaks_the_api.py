"""Whatever comes on any route: an answer of the documented form, no defect, nothing half done.

Requests are drawn over the route tables of all apps: ids that exist, ids of another tenant and ids
that are none; bodies that are right but for one place, and bodies of any kind; odd queries, odd
headers.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local_host.model import HttpAnswer
from tests.kit.odd_requests import (
    BODIES,
    ROUTES,
    SERVICES,
    Known,
    Sent,
    requests,
    settled_world,
)
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

SETTLED = {"Succeeded", "Failed", "Cancelled", "Canceled"}


def test_every_body_of_a_route_has_an_example_here() -> None:
    asked = {route.body.__name__ for route in ROUTES if route.body is not None}

    assert asked == set(BODIES)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/runtime/environments/%08%F0%B2", 404),
        ("DELETE", "/v1/runtime/environments/shop", 404),
        ("DELETE", "/v1/runtime/environments/env-aaaaaaaaaaaa?confirm=", 400),
        ("DELETE", "/v1/runtime/environments/env-aaaaaaaaaaaa?retain=%F0%9F%87%BA", 400),
    ],
)
def test_an_id_or_query_of_no_form_is_refused(method: str, path: str, status: int) -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        body = BODIES["EnvironmentChange"] if method == "PUT" else None

        answer = await world.send(method, path, body)

        assert answer.status == status, answer
        await world.stop()

    run_virtual(main())


@pytest.mark.long
@settings(
    max_examples=6,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(requests(), min_size=20, max_size=40))
def test_any_request_is_answered_in_form_and_leaves_nothing_half_done(sent: list[Sent]) -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            known = await settled_world(world)
            for each in sent:
                await _one(world, known, each)
            await world.until(lambda: _is_settled(world), within_s=4 * 3600, every_s=30)
        finally:
            await world.stop()

    run_virtual(main())


async def _one(world: World, known: Known, sent: Sent) -> None:
    path = "/" + sent.route.template
    for name, value in sent.path.items():
        path = path.replace(f"{{{name}}}", known.filled(value))
    body = known.filled(sent.body)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    query = "&".join(f"{name}={_escaped(value)}" for name, value in sent.query.items())
    await world.clock.sleep(1)
    before = await _documents(world) if await _is_settled(world) else None

    answer = await world.send(
        sent.route.method,
        f"{path}?{query}",
        content if body is not None and content else None,
        headers=sent.headers,
        tenant="globex" if sent.stranger else "acme",
    )

    told = (sent, answer)
    assert answer.status < 500 or answer.status == 503, told
    assert answer.status not in {200, 202} or not (sent.stranger and _names_one(sent)), told
    if answer.status >= 400 and answer.body:
        _assert_error(answer, sent)
        after = await _documents(world)
        assert before is None or after == before, (told, set(after) ^ set(before))


def _escaped(text: str) -> str:
    return quote(text, safe="")


def _names_one(sent: Sent) -> bool:
    """Return whether the request asks for one resource of the other tenant by its id."""
    return any(name == value and name != "digest" for name, value in sent.path.items())


def _assert_error(answer: HttpAnswer, sent: Sent) -> None:
    said = json.loads(answer.body)
    if "problem+json" in sent.headers.get("accept", ""):
        assert said["status"] == answer.status, said
        return
    error = said["error"]
    assert {"code", "message", "details", "traceId"} <= set(error), error
    assert error["code"], error
    assert error["message"], error


async def _documents(world: World) -> Any:
    return [
        (each.partition, each.id, each.etag)
        for name in SERVICES
        for each in await world.documents(name)
    ]


async def _is_settled(world: World) -> bool:
    """Return whether every operation has ended and everything that was to leave has left."""
    for name in SERVICES:
        for document in await world.documents(name):
            body = document.body
            if body["type"] == "outbox":
                return False
            if body["type"] == "operation" and body["status"] not in SETTLED:
                return False
    return True
