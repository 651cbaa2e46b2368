"""Odd requests over the route tables of all apps: bodies right but for one place, odd queries.

Paths name ids that exist, ids of no form, or anything; a stranger asks for another tenant's.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from function_apps.catalog.triggers import ROUTES as CATALOG
from function_apps.configurations.triggers import ROUTES as CONFIGURATIONS
from function_apps.deployments.triggers import ROUTES as DEPLOYMENTS
from function_apps.drift.triggers import ROUTES as DRIFT
from function_apps.environments.triggers import ROUTES as ENVIRONMENTS
from function_apps.health.triggers import ROUTES as HEALTH
from function_apps.scaling.triggers import ROUTES as SCALING
from function_apps.secret_bindings.triggers import ROUTES as SECRET_BINDINGS
from function_apps.tenants.triggers import ROUTES as TENANTS
from shared.web.administration_routes import administration_routes
from shared.web.routes import Route
from tests.kit.releases import ENVIRONMENT, a_component, brought_out, provisioned
from tests.kit.world import World

SERVICES = (
    "environments",
    "deployments",
    "catalog",
    "health",
    "configurations",
    "secret-bindings",
    "tenants",
    "scaling",
    "drift",
)
ROUTES: tuple[Route, ...] = (
    *ENVIRONMENTS,
    *DEPLOYMENTS,
    *CATALOG,
    *HEALTH,
    *CONFIGURATIONS,
    *SECRET_BINDINGS,
    *TENANTS,
    *SCALING,
    *DRIFT,
    *(route for app in SERVICES for route in administration_routes(app)),
)
DIGEST = "sha256:" + "0" * 64
SCALED: Mapping[str, Any] = {
    "min": 1,
    "max": 5,
    "rules": [{"signal": "requests", "target": 10, "settings": {"source": "surface"}}],
    "rateLimits": {"up": [{"unit": "percent", "value": 50, "period": "PT1M"}]},
    "costCeiling": {"amount": 100, "prices": {"instance": 0.1}},
}
BODIES: Mapping[str, Any] = {
    "SetObjective": {
        "sli": "availability",
        "objective": 0.999,
        "window": "P30D",
        "minSamples": 20,
    },
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
    "Cancellation": {"reason": "because", "dryRun": True},
    "PublishConfiguration": {
        "scope": {"layer": "environment", "environmentId": "environmentId"},
        "values": {"greeting": "hello", "db": {"secret": "db-password"}},
        "schema": {"type": "object"},
        "expectedVersion": 0,
    },
    "ConfigurationReturn": {"toVersion": 1, "expectedVersion": 2},
    "DraftPublication": {"expectedVersion": 1},
    "BindSecret": {
        "environmentId": "environmentId",
        "moduleId": "module-web",
        "secretName": "db-password",
        "generator": {"kind": "random", "length": 32},
        "delivery": "file",
        "target": "db-password",
        "rotation": {"every": "P30D", "overlap": "PT1H", "canary": True},
    },
    "ScanOrder": {"planes": ["workload", "routing"], "confirmAbsent": True},
    "FindingReason": {"reason": "because"},
    "FollowGitSource": {
        "repository": "https://git.example.org/environments.git",
        "branch": "main",
        "path": "environments",
        "environmentIds": ["environmentId"],
        "credentialRef": "git-token",
        "webhookSecretRef": "git-webhook",
        "every": "PT5M",
    },
    "Suppression": {"length": "PT1H", "reason": "because"},
    "Revocation": {"reason": "because"},
    "BindingMove": {"isolationModel": "pool", "reason": "because"},
    "BindTenant": {
        "environmentId": "environmentId",
        "ownerTenantId": "acme",
        "isolationModel": "pool",
        "requires": ["compute", "data"],
        "quota": {"cpu": 4.0, "memoryMib": 4096, "instances": 20},
    },
    "Suspension": {"reason": "because"},
    "ApplyScalingPolicy": {"serviceId": "serviceId", **SCALED},
    "ScalingPolicyChange": SCALED,
    "ScalingPause": {"direction": "down", "length": "PT1H", "reason": "because"},
    "ScalingReturn": {"reason": "because"},
    "WhatIf": {
        "policy": SCALED,
        "fromAt": "2026-11-24T00:00:00Z",
        "untilAt": "2026-11-25T00:00:00Z",
    },
    "SecretRotationOrder": {"version": "0" * 32, "overlap": "PT1H", "reason": "because"},
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


@st.composite
def right_requests(draw: st.DrawFn) -> Sent:
    """Return a request that nothing is wrong with, for ids that exist."""
    route = draw(st.sampled_from(ROUTES))
    names = [part[1:-1] for part in route.template.split("/") if part.startswith("{")]
    body = deepcopy(BODIES[route.body.__name__]) if route.body else None
    call = f"{route.method} {route.template}"
    return Sent(route, call, {name: name for name in names}, {}, {}, body)


async def settled_world(world: World) -> Known:
    """Have an environment with a deployment that has ended, and return the ids."""
    environment = await provisioned(world)
    deployment = await brought_out(world, environment, "1")
    _, services = await world.call("GET", "/v1/runtime/services")
    body = {"environmentId": environment}
    _, bound = await world.call("POST", "/v1/runtime/tenant-bindings", body)
    return Known(
        {
            "environmentId": environment,
            "deploymentId": deployment["deploymentId"],
            "operationId": deployment["operationId"],
            "tenantBindingId": bound["bindingId"],
            "serviceId": services["value"][0]["serviceId"],
            "digest": deployment["components"][0]["artifactDigest"],
            DIGEST: deployment["components"][0]["artifactDigest"],
        }
    )
