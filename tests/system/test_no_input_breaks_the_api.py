"""Whatever comes on any route: an answer of the documented form, no defect, nothing half done.

Requests are drawn over the route tables of all apps: ids that exist, ids of another tenant and ids
that are none; bodies that are right but for one place, and bodies of any kind; odd queries, odd
headers.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from function_apps.catalog.triggers import ROUTES as CATALOG
from function_apps.deployments.triggers import ROUTES as DEPLOYMENTS
from function_apps.environments.triggers import ROUTES as ENVIRONMENTS
from function_apps.health.triggers import ROUTES as HEALTH
from local_host.model import HttpAnswer
from shared.web.administration_routes import administration_routes
from shared.web.routes import Route
from tests.kit.releases import ENVIRONMENT, a_component, brought_out, provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

SERVICES = ("environments", "deployments", "catalog", "health")
ROUTES: tuple[Route, ...] = (
    *ENVIRONMENTS,
    *DEPLOYMENTS,
    *CATALOG,
    *HEALTH,
    *(route for app in SERVICES for route in administration_routes(app)),
)
SETTLED = {"Succeeded", "Failed", "Cancelled", "Canceled"}
DIGEST = "sha256:" + "0" * 64
BODIES: Mapping[str, Any] = {
    "ProvisionEnvironment": {**ENVIRONMENT, "name": "other"},
    "EnvironmentChange": {"computeTargets": [{"kind": "LocalProcess"}], "tags": {"team": "web"}},
    "Deploy": {
        "environmentId": "environmentId",
        "releaseRef": "v2",
        "components": [a_component(DIGEST, "2")],
        "strategy": {"kind": "canary", "steps": [{"weight": 50}, {"weight": 100}]},
        "gate": {"window": "PT5S", "minSamples": 5, "limits": {"errorRatioMax": 0.5}},
    },
    "Promotion": {"toEnvironmentId": "environmentId", "onConflict": "reject"},
    "Rollback": {"toDeploymentId": "deploymentId", "reason": "because"},
    "DeploymentReason": {"reason": "because"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
SCALARS = st.sampled_from(
    [None, True, 0, -1, 2**63, 1e308, "", " ", "\0", "ü" * 300, "P1Y", "PT-1S", "../..", [], {}]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "idempotency-key", "if-match", "if-none-match", "content-type", "accept",
            "x-correlation-id", "x-traceid", "traceparent", "x-tenant-id", "authorization",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
    | st.sampled_from(["*", '"1"', 'W/"1"', "acme", "text/html", "k" * 200]),
    max_size=2,
)  # fmt: skip
ANY_TEXT = st.text(max_size=12).filter(lambda text: "/" not in text and "?" not in text)


@dataclass(frozen=True)
class Sent:
    """One request, before the ids of the world are filled in."""

    route: Route = field(repr=False)
    call: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | Any = None
    stranger: bool = False


@dataclass
class Known:
    """Ids that exist, by the names under which routes and bodies ask for them."""

    ids: dict[str, str] = field(default_factory=dict)

    def filled(self, value: Any) -> Any:
        """Return *value* with the name of an id replaced by the id."""
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        return self.ids.get(value, value) if isinstance(value, str) else value


@st.composite
def bodies(draw: st.DrawFn, route: Route) -> Any:
    """Return what is expected with one place changed, or anything."""
    if route.takes_bytes:
        return draw(st.binary(max_size=60))
    if route.body is None:
        return draw(st.sampled_from([None, None, None, {}, {"a": 1}, b"\xff"]))
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON | st.binary(max_size=20))
    body = deepcopy(BODIES[route.body.__name__])
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            break
        place = inner
    if draw(st.integers(0, 3)):
        place[key] = draw(SCALARS | JSON)
    return body


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    route = draw(st.sampled_from(ROUTES))
    names = [part[1:-1] for part in route.template.split("/") if part.startswith("{")]
    path = {name: draw(st.just(name) | st.just(name) | ANY_TEXT) for name in names}
    queried = [*route.query, "unknown"]
    query = st.dictionaries(
        st.sampled_from(queried),
        st.sampled_from(["1", "true", "0", "-1", "", "shop", "2026-11-24T00:00:00Z", "9" * 30])
        | st.text(max_size=8),
        max_size=2,
    )
    call = f"{route.method} {route.template}"
    is_stranger = draw(st.integers(0, 5)) == 0
    return Sent(route, call, path, draw(query), draw(HEADERS), draw(bodies(route)), is_stranger)


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
            known = await _settled_world(world)
            for each in sent:
                await _one(world, known, each)
            await world.until(lambda: _is_settled(world), within_s=4 * 3600, every_s=30)
        finally:
            await world.stop()

    run_virtual(main())


async def _settled_world(world: World) -> Known:
    environment = await provisioned(world)
    deployment = await brought_out(world, environment, "1")
    _, services = await world.call("GET", "/v1/runtime/services")
    return Known(
        {
            "environmentId": environment,
            "deploymentId": deployment["deploymentId"],
            "operationId": deployment["operationId"],
            "serviceId": services["value"][0]["serviceId"],
            "digest": deployment["components"][0]["artifactDigest"],
            DIGEST: deployment["components"][0]["artifactDigest"],
        }
    )


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
