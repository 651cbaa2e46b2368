"""The twelve interactions of the specification, each from the API of one service to another's.

Nobody plays a service: a request or a timer of the first one acts, and the second one shows what
came of it. Messages come once and in order, or twice, late and out of order.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.drift.repository import BASELINES
from shared.persistence.store import Delete
from tests.kit.memory_cluster import Behaviour
from tests.kit.parameters import long_but
from tests.kit.releases import (
    a_component,
    deploy,
    ended,
    provisioned,
    publish,
    scaled,
    set_objective,
    until_status,
    uploaded,
)
from tests.kit.sweep import settled
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

WEB: Final = "module-web"
Interaction = Callable[[World], Awaitable[None]]


async def listed(world: World, path: str) -> list[Mapping[str, Any]]:
    status, page = await world.call("GET", path)
    assert status == 200, page
    found: list[Mapping[str, Any]] = page["value"]
    return found


async def service(world: World) -> Mapping[str, Any]:
    (only,) = await listed(world, "/runtime/services")
    return only


async def released(world: World, **component: Any) -> str:
    """Have a release of one module in an environment; return the environment's id."""
    environment = await provisioned(world)
    digest = await uploaded(world, "1")
    components = [a_component(digest, "1", **component)]
    first = await ended(world, await deploy(world, environment, "1", components=components))
    assert first["status"] == "Completed", first["reason"]
    return environment


async def until_deployed(world: World, environment: str, kind: str) -> Mapping[str, Any]:
    """Return the newest deployment of *kind* that Completed, which another service asked for."""

    async def found() -> Any:
        all_there = await listed(world, f"/runtime/deployments?environmentId={environment}")
        return next(
            (each for each in all_there if each["kind"] == kind and each["status"] == "Completed"),
            None,
        )

    deployment: Mapping[str, Any] = await world.until(found, within_s=7200, every_s=10)
    return deployment


async def only_finding(world: World, environment: str) -> Mapping[str, Any]:
    async def found() -> Any:
        findings = await listed(world, f"/runtime/drift/{environment}")
        return findings[0] if findings else None

    finding: Mapping[str, Any] = await world.until(found, within_s=3600, every_s=10)
    return finding


def tamper(world: World, **changes: Any) -> None:
    """Change what runs behind the platform's back."""
    (site,) = world.surface.sites.values()
    (component,) = site.components.values()
    (revision,) = component.revisions.values()
    revision.spec = replace(revision.spec, **changes)
    world.surface.resize(revision)


async def environments_tells_catalog(world: World) -> None:
    environment = await released(world)

    await world.call("DELETE", f"/runtime/environments/{environment}?confirm=shop")

    await world.until(lambda: _is_retired(world), within_s=3600, every_s=10)


async def _is_retired(world: World) -> bool:
    return (await service(world))["status"] == "Retired"


async def environments_tells_deployments(world: World) -> None:
    _, environment = await world.call("POST", "/runtime/environments", _environment())

    deployment = await ended(world, await deploy(world, environment["environmentId"], "1"))

    assert deployment["status"] == "Completed", deployment["reason"]


def _environment() -> Mapping[str, Any]:
    return {
        "name": "shop",
        "projectId": "proj-web",
        "stage": "test",
        "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
    }


async def tenants_tells_environments(world: World) -> None:
    environment = await provisioned(world)

    _, binding = await world.call(
        "POST", "/runtime/tenant-bindings", {"environmentId": environment}
    )

    async def is_isolated() -> bool:
        _, shown = await world.call("GET", f"/runtime/environments/{environment}")
        return [(each["bindingId"], each["state"]) for each in shown["isolation"]] == [
            (binding["bindingId"], "Applied")
        ]

    await world.until(is_isolated, within_s=600)


async def configurations_tells_deployments(world: World) -> None:
    environment = await released(world, configurationMode="floating")

    await publish(world, environment, 1, WEB)

    deployment = await until_deployed(world, environment, "configuration")
    _, shown = await world.call("GET", f"/runtime/deployments/{deployment['deploymentId']}")
    (component,) = shown["releaseUnit"]["components"]
    assert component["configuration"]["module"] == 1


async def secret_bindings_tells_deployments(world: World) -> None:
    environment = await provisioned(world)
    body = {
        "environmentId": environment,
        "moduleId": WEB,
        "secretName": "db-password",
        "generator": {"kind": "random"},
        "target": "DB_PASSWORD",
    }
    _, bound = await world.call("POST", "/runtime/secret-bindings", body)
    await settled(world)
    await ended(world, await deploy(world, environment, "1"))

    path = f"/runtime/secret-bindings/{bound['bindingId']}"
    _, rotation = await world.call("POST", f"{path}/rotate", {"overlap": "PT0S"})

    at = f"/runtime/secret-rotations/{rotation['rotationId']}"
    await until_status(world, at, {"Revoked"}, within_s=7200, every_s=10)
    deployment = await until_deployed(world, environment, "secret")
    _, shown = await world.call("GET", f"/runtime/deployments/{deployment['deploymentId']}")
    _, now = await world.call("GET", path)
    (component,) = shown["releaseUnit"]["components"]
    assert component["secretVersions"] == {"db-password": now["version"]}


async def deployments_tells_catalog(world: World) -> None:
    await released(world)

    async def is_running() -> bool:
        return (await service(world))["status"] == "Running"

    await world.until(is_running, within_s=600)
    assert (await service(world))["version"] == "1"


async def deployments_tells_health(world: World) -> None:
    await released(world)
    identity = (await service(world))["serviceId"]

    async def is_healthy() -> bool:
        status, shown = await world.call("GET", f"/runtime/services/{identity}/health")
        return status == 200 and shown["status"] == "Healthy"

    await world.until(is_healthy, within_s=600)


async def health_tells_scaling(world: World) -> None:
    await released(world)
    await set_objective(world)
    policy = await scaled(world, min=1, rules=[{"signal": "burnRate", "target": 2}])

    for digest in {each.spec.artifact for each in _revisions(world)}:
        world.surface.behaviours[digest] = Behaviour(error_ratio=0.5)

    async def is_scaled() -> bool:
        _, shown = await world.call("GET", f"/runtime/scaling-policies/{policy}")
        return bool(shown["desired"] == 4)

    await world.until(is_scaled, within_s=7200, every_s=10)


def _revisions(world: World) -> list[Any]:
    return [
        revision
        for site in world.surface.sites.values()
        for component in site.components.values()
        for revision in component.revisions.values()
    ]


async def health_tells_drift(world: World) -> None:
    environment = await released(world)
    await world.clock.sleep(600)
    tamper(world, environ={"MODE": "slow"})
    before = (await only_finding(world, environment))["severity"]

    world.prober.failing.add("/health")

    async def weighs_more() -> bool:
        return bool((await only_finding(world, environment))["severity"] != before)

    await world.until(weighs_more, within_s=3600, every_s=10)
    assert before == "Medium"


async def scaling_tells_drift(world: World) -> None:
    """The number that a policy wants is desired from then on, and not that of the release."""
    environment = await released(world)

    await scaled(world, min=3, max=6)
    await world.clock.sleep(1200)

    status, report = await world.call("GET", f"/runtime/drift/{environment}")
    (replicas,) = [each for each in report["coverage"] if each["plane"] == "replicas"]
    assert (status, report["value"]) == (200, [])
    assert (replicas["complete"], replicas["seen"]) == (True, 1)
    assert len((await service(world))["instances"]) == 3


async def catalog_tells_drift(world: World) -> None:
    """Of a service whose release drift has lost the inventory says what is to run."""
    environment = await released(world)
    await settled(world)
    await lose_baselines(world)
    await scaled(world, min=3, max=6)
    tamper(world, version="9")

    finding = await only_finding(world, environment)

    assert finding["serviceId"] == (await service(world))["serviceId"]
    assert (finding["path"], finding["desired"], finding["actual"]) == ("version", "1", "9")


async def lose_baselines(world: World) -> None:
    """Take from drift what it knows of releases, as a store does that is put back from a copy."""
    store = world.storage.store("runtime", "drift")
    for each in await world.documents("drift"):
        if each.body["type"] == BASELINES.type_name:
            await store.batch(each.partition, [Delete(each.id)])


async def drift_tells_deployments(world: World) -> None:
    environment = await released(world)
    await world.clock.sleep(600)
    tamper(world, environ={"MODE": "slow"})
    finding = await only_finding(world, environment)

    await world.call("POST", f"/runtime/drift-findings/{finding['findingId']}/remediate", {})

    await until_deployed(world, environment, "repair")
    path = f"/runtime/drift-findings/{finding['findingId']}"
    await until_status(world, path, {"Resolved"})


INTERACTIONS: Final[Mapping[str, Interaction]] = {
    "environments-catalog": environments_tells_catalog,
    "environments-deployments": environments_tells_deployments,
    "tenants-environments": tenants_tells_environments,
    "configurations-deployments": configurations_tells_deployments,
    "secret_bindings-deployments": secret_bindings_tells_deployments,
    "deployments-catalog": deployments_tells_catalog,
    "deployments-health": deployments_tells_health,
    "health-scaling": health_tells_scaling,
    "health-drift": health_tells_drift,
    "scaling-drift": scaling_tells_drift,
    "catalog-drift": catalog_tells_drift,
    "drift-deployments": drift_tells_deployments,
}


@pytest.mark.parametrize("is_unruly", [False, True], ids=["in-order", "twice-late-out-of-order"])
@pytest.mark.parametrize("name", long_but(["tenants-environments"], INTERACTIONS))
def test_what_one_service_does_is_seen_at_the_other(name: str, *, is_unruly: bool) -> None:
    async def main() -> None:
        world = World(requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        try:
            await INTERACTIONS[name](world)
        finally:
            await world.stop()

    run_virtual(main())
