"""The tenant matrix, from the route tables: every route by role by own or foreign tenant."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import pytest

from local_host.model import HttpAnswer, HttpCall
from shared.web.administration_routes import administration_routes
from shared.web.roles import PERMISSIONS, ROLES
from shared.web.routes import Route
from tests.kit.costs import SERVICES
from tests.kit.git_sources import follow, source
from tests.kit.releases import (
    OBJECTIVE,
    a_component,
    deploy,
    ended,
    provisioned,
    set_objective,
)
from tests.kit.tampered import tampered
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

pytestmark = pytest.mark.xdist_group("matrix")

ROWS: Final[Sequence[Route]] = [
    row
    for name, module in SERVICES.items()
    for row in (*module.ROUTES, *administration_routes(name.replace("_", "-")))
]
IDS: Final = [f"{row.method} {row.template}" for row in ROWS]
GUARDED: Final = [row for row in ROWS if row.permission is not None]
_NAMED: Final = {
    "v1/runtime/effective-configuration": "?environmentId={environmentId}&moduleId={moduleId}"
}
"""The query of a route that names its resource there."""


def address(row: Route) -> str:
    return row.template + _NAMED.get(row.template, "")


BY_ID: Final = [row for row in GUARDED if "{" in address(row)]
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def ids(rows: Sequence[Route]) -> list[str]:
    return [f"{row.method} {row.template}" for row in rows]


class Matrix:
    """One world with one of everything that belongs to the tenant acme, and its answers."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], HttpAnswer] = {}
        self.after: dict[str, Any] = {}
        run_virtual(self._run())

    async def _run(self) -> None:
        world = World()
        await world.boot()
        try:
            environment = await provisioned(world)
            deployment = await ended(world, await deploy(world, environment, "1"))
            assert deployment["status"] == "Completed"
            _, services = await world.call("GET", "/runtime/services")
            _, shown = await world.call("GET", f"/runtime/environments/{environment}")
            component = deployment["components"][0]
            _, published = await world.call("POST", "/runtime/configurations", _layer(environment))
            _, bound = await world.call(
                "POST", "/runtime/secret-bindings", _binding(environment, component["moduleId"])
            )
            await set_objective(world)
            await world.clock.sleep(5)
            rotate = f"/runtime/secret-bindings/{bound['bindingId']}/rotate"
            _, rotation = await world.call("POST", rotate, {})
            binding = {"environmentId": environment}
            _, admitted = await world.call("POST", "/runtime/tenant-bindings", binding)
            service = services["value"][0]["serviceId"]
            _, policy = await world.call("POST", "/runtime/scaling-policies", _policy(service))
            finding = await tampered(world, environment)
            _, snapshots = await world.call("GET", f"/runtime/drift/{environment}/snapshots")
            followed = await follow(world, environment)
            names = {
                "sourceId": followed["sourceId"],
                "findingId": finding["findingId"],
                "snapshotId": snapshots["value"][0]["snapshotId"],
                "environmentId": environment,
                "deploymentId": deployment["deploymentId"],
                "serviceId": service,
                "digest": component["artifactDigest"],
                "operationId": shown["lastOperationId"],
                "eventId": "evt-00000000-0000-4000-8000-000000000001",
                "configurationId": published["configurationId"],
                "version": "1",
                "moduleId": component["moduleId"],
                "bindingId": bound["bindingId"],
                "rotationId": rotation["rotationId"],
                "tenantBindingId": admitted["bindingId"],
                "policyId": policy["policyId"],
            }
            self.bodies = _bodies(environment, component["artifactDigest"], service)
            for row in ROWS:
                await self._ask(world, row, names)
            _, self.after["environment"] = await world.call(
                "GET", f"/runtime/environments/{environment}"
            )
            _, self.after["deployment"] = await world.call(
                "GET", f"/runtime/deployments/{deployment['deploymentId']}"
            )
            self.after["globex"] = [
                document.id
                for name in SERVICES
                for document in await world.documents(name)
                if document.partition.tenant == "globex"
            ]
        finally:
            await world.stop()

    async def _ask(self, world: World, row: Route, names: Mapping[str, str]) -> None:
        path = "/" + _PARAMETER.sub(lambda match: names[match[1]], address(row))
        call = f"{row.method} {row.template}"
        body = self.bodies.get(call, None if row.body is None else {})

        async def ask(who: str, **changes: Any) -> None:
            self.answers[call, who] = await world.send(row.method, path, body, **changes)

        headers = (("content-type", "application/json"),)
        content = b"" if body is None else json.dumps(body).encode()
        where, _, query = path.partition("?")
        bare = HttpCall(row.method, where, query, headers, content)
        self.answers[call, "nobody"] = await world.host.handle(bare)
        await ask("foreign", tenant="globex")
        odd = "/" + _PARAMETER.sub("%C3%8A%60'%18", address(row))
        self.answers[call, "odd"] = await world.send(row.method, odd, body)
        await ask("named-otherwise", headers={"x-tenant-id": "globex"})
        for role in ROLES:
            if row.permission is not None and row.permission not in ROLES[role]:
                await ask(role, roles=[role])
        await ask("without-roles", roles=[])
        if row.method == "GET":
            await ask("own")


def _bodies(environment: str, digest: str, service: str) -> Mapping[str, Any]:
    """Return a body that passes validation, where a route takes one."""
    deploy_body = {
        "environmentId": environment,
        "releaseRef": "v9",
        "components": [a_component(digest, "9")],
    }
    return {
        "PUT v1/runtime/environments/{environmentId}": {
            "computeTargets": [{"kind": "LocalProcess"}],
            "tags": {"of": "globex"},
        },
        "POST v1/runtime/deployments": deploy_body,
        "PUT v1/runtime/services/{serviceId}/slo": OBJECTIVE,
        "POST v1/runtime/configurations": _layer(environment),
        "POST v1/runtime/configurations/{configurationId}/rollback": {
            "toVersion": 1,
            "expectedVersion": 1,
        },
        "POST v1/runtime/configurations/{configurationId}/versions/{version}/publish": {
            "expectedVersion": 0,
        },
        "POST v1/runtime/scaling-policies": _policy(service),
        "PUT v1/runtime/scaling-policies/{policyId}": {"min": 1, "max": 5},
        "POST v1/runtime/scaling-policies/{policyId}/pause": {"length": "PT1H"},
        "POST v1/runtime/scaling-policies/{policyId}/what-if": {
            "policy": {"min": 1, "max": 5},
            "fromAt": "2026-11-24T00:00:00Z",
            "untilAt": "2026-11-25T00:00:00Z",
        },
        "POST v1/runtime/git-sources": source(environment),
        "POST v1/runtime/secret-bindings": _binding(environment, "module-web"),
        "POST v1/runtime/tenant-bindings": {"environmentId": environment},
        "POST v1/runtime/tenant-bindings/{tenantBindingId}/suspend": {"reason": "because"},
        "POST v1/runtime/tenant-bindings/{tenantBindingId}/move": {"isolationModel": "pool"},
        "POST v1/runtime/tenant-bindings/{tenantBindingId}/resume": {"reason": "because"},
        "POST v1/runtime/drift-findings/{findingId}/suppress": {"length": "PT1H", "reason": "x"},
        "POST v1/runtime/secret-bindings/{bindingId}/revoke": {"reason": "because"},
        "POST v1/runtime/deployments/{deploymentId}/promote": {"toEnvironmentId": environment},
    }


def _layer(environment: str) -> Mapping[str, Any]:
    scope = {"layer": "environment", "environmentId": environment}
    return {"scope": scope, "values": {"greeting": "hello"}, "expectedVersion": 0}


def _policy(service: str) -> Mapping[str, Any]:
    return {"serviceId": service, "min": 1, "max": 5}


def _binding(environment: str, module: str) -> Mapping[str, Any]:
    return {
        "environmentId": environment,
        "moduleId": module,
        "secretName": "db-password",
        "generator": {"kind": "random"},
        "target": "DB_PASSWORD",
    }


@cache
def matrix() -> Matrix:
    return Matrix()


def status_and_code(row: Route, who: str) -> tuple[int, str]:
    answer = matrix().answers[f"{row.method} {row.template}", who]
    code = dict(answer.headers).get("x-ms-error-code", "")
    return int(answer.status), code


def test_only_probes_documents_and_webhooks_are_answered_without_a_token() -> None:
    free = {row.template.rpartition("/")[2] for row in ROWS if row.permission is None}

    # A webhook proves by its signature who sends it.
    assert free == {"health", "alive", "startup", "openapi.json", "webhook"}
    assert all(row.permission in PERMISSIONS for row in GUARDED)


@pytest.mark.parametrize("row", GUARDED, ids=ids(GUARDED))
def test_without_a_token_it_is_401(row: Route) -> None:
    assert status_and_code(row, "nobody") == (401, "NoToken")


@pytest.mark.parametrize("row", GUARDED, ids=ids(GUARDED))
@pytest.mark.parametrize("role", [*ROLES, "without-roles"])
def test_without_the_scope_it_is_403(row: Route, role: str) -> None:
    if row.permission in ROLES.get(role, ()):
        assert (f"{row.method} {row.template}", role) not in matrix().answers
    else:
        assert status_and_code(row, role) == (403, "ScopeMissing")


@pytest.mark.parametrize("row", GUARDED, ids=ids(GUARDED))
def test_with_another_tenant_in_the_header_it_is_403(row: Route) -> None:
    assert status_and_code(row, "named-otherwise") == (403, "TenantMismatch")


@pytest.mark.parametrize("row", BY_ID, ids=ids(BY_ID))
def test_an_id_that_is_none_is_404(row: Route) -> None:
    status, _ = status_and_code(row, "odd")

    assert status == 404


@pytest.mark.parametrize("row", BY_ID, ids=ids(BY_ID))
def test_what_another_tenant_has_is_404(row: Route) -> None:
    status, code = status_and_code(row, "foreign")

    assert status == 404
    assert code


@pytest.mark.parametrize(
    "row",
    [row for row in GUARDED if row not in BY_ID and row.method == "GET"],
    ids=ids([row for row in GUARDED if row not in BY_ID and row.method == "GET"]),
)
def test_a_list_shows_nothing_of_another_tenant(row: Route) -> None:
    answer = matrix().answers[f"{row.method} {row.template}", "foreign"]

    body = json.loads(answer.body)
    assert answer.status == 200
    assert body.get("value", []) == []
    assert "acme" not in answer.body.decode()


@pytest.mark.parametrize(
    "row",
    [row for row in GUARDED if row.method == "GET"],
    ids=ids([row for row in GUARDED if row.method == "GET"]),
)
def test_the_owner_with_the_scope_is_answered(row: Route) -> None:
    status, code = status_and_code(row, "own")

    # Nothing is parked, the surface in memory has no logs, nobody was unbound, and the operation is
    # environments'.
    is_absent = row.template.endswith(("/parked/{eventId}", "/logs", "/erasure-report")) or (
        "/operations/{" in row.template and "/environments/" not in row.template
    )
    assert status in ({200, 404} if is_absent else {200}), code


def test_nothing_that_was_refused_changed_anything() -> None:
    after = matrix().after

    assert after["environment"]["status"] == "Provisioned"
    assert after["environment"]["tags"] == {}
    assert after["deployment"]["status"] == "Completed"
