"""Releases of one small application, and what a client does to bring them out."""

import io
import json
import zipfile
from http import HTTPStatus
from typing import Any

from tests.kit.world import World

ENVIRONMENT = {
    "name": "shop",
    "projectId": "proj-web",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
    "dataResources": [{"kind": "LocalFolder", "name": "files"}],
}
MIXED = [{"kind": "LocalProcess"}, {"kind": "AKS"}]
OBJECTIVE = {"sli": "availability", "objective": 0.999, "window": "P30D"}
ENDED = frozenset({"Completed", "RolledBack", "Failed", "Cancelled"})


def archive(version: str) -> bytes:
    """Return a zip whose content, and so its digest, follows from *version*."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr(zipfile.ZipInfo("version.json"), json.dumps({"version": version}))
    return target.getvalue()


async def publish(world: World, environment: str, number: int, module: str | None = None) -> None:
    """Publish version *number* of the layer of *environment*, or of *module* in it."""
    scope = {"layer": "environment", "environmentId": environment}
    if module is not None:
        scope |= {"layer": "module", "moduleId": module}
    body = {"scope": scope, "values": {"number": number}, "expectedVersion": number - 1}
    status, answer = await world.call("POST", "/runtime/configurations", body)
    assert status == 201, answer


async def scaled(world: World, **changes: Any) -> str:
    """Give the first service a policy, unless it has one; return the policy's id."""
    _, services = await world.call("GET", "/runtime/services")
    rule = {"signal": "requests", "target": 50}
    body = {"serviceId": services["value"][0]["serviceId"], "min": 2, "max": 4, "rules": [rule]}
    status, policy = await world.call("POST", "/runtime/scaling-policies", {**body, **changes})
    assert status == 201, policy
    await world.clock.sleep(150)
    identity: str = policy["policyId"]
    return identity


async def provisioned(world: World, **changes: Any) -> str:
    """Have the environment, and return its id."""
    status, environment = await world.call(
        "POST", "/runtime/environments", {**ENVIRONMENT, **changes}
    )
    assert status == 202, environment
    identity: str = environment["environmentId"]
    await until_status(world, f"/runtime/environments/{identity}", {"Provisioned"})
    return identity


async def uploaded(world: World, version: str) -> str:
    """Upload the artifact of *version*, and return its digest."""
    status, artifact = await world.call("POST", "/runtime/artifacts", archive(version))
    assert status in {200, 201}, artifact
    digest: str = artifact["digest"]
    return digest


def a_component(digest: str, version: str, module: str = "module-web", **more: Any) -> Any:
    return {
        "moduleId": module,
        "componentType": "gateway",
        "version": version,
        "artifactDigest": digest,
        "command": ["serve"],
        "port": 8080,
        "replicas": 2,
        "probes": {"readiness": {"path": "/health"}},
        **more,
    }


async def deploy(world: World, environment: str, version: str, **changes: Any) -> str:
    """Ask for a deployment of *version*, and return its id."""
    digest = await uploaded(world, version)
    body = {
        "environmentId": environment,
        "releaseRef": f"v{version}",
        "components": [a_component(digest, version)],
        **changes,
    }
    status, deployment = await world.call("POST", "/runtime/deployments", body)
    assert status == 202, deployment
    identity: str = deployment["deploymentId"]
    return identity


async def brought_out(world: World, environment: str, version: str, **changes: Any) -> Any:
    """Deploy *version* unless that was asked for already; return the deployment once it ended."""
    status, answer = await world.call("GET", f"/runtime/deployments?environmentId={environment}")
    assert status == 200, answer
    releases = [each for each in answer["value"] if each["kind"] == "release"]
    asked = [each for each in releases if each["releaseRef"] == f"v{version}"]
    if asked:
        return await ended(world, asked[0]["deploymentId"])
    identity = await deploy(world, environment, version, **changes)
    return await ended(world, identity)


async def mixed(world: World, version: str) -> list[Any]:
    """Return one release: a shop on this machine, and a web in the cluster that needs it."""
    digest, theirs = await uploaded(world, version), await uploaded(world, f"shop {version}")
    return [
        a_component(
            digest, version, pathPrefix="/", dependsOn=["module-shop"], computeTarget="AKS"
        ),
        a_component(theirs, version, "module-shop", computeTarget="LocalProcess"),
    ]


async def ended(world: World, deployment: str, *, within_s: float = 7200) -> Any:
    """Wait until *deployment* has ended, and return it."""
    path = f"/runtime/deployments/{deployment}"
    return await until_status(world, path, ENDED, within_s=within_s, every_s=10)


async def until_status(
    world: World,
    path: str,
    statuses: set[str] | frozenset[str],
    *,
    within_s: float = 3600,
    every_s: float = 2,
) -> Any:
    async def reached() -> Any:
        _, body = await world.call("GET", path)
        return body if body.get("status") in statuses else None

    return await world.until(reached, within_s=within_s, every_s=every_s)


async def set_objective(world: World) -> str:
    """Set an objective for the first service that health knows; return its path."""
    _, services = await world.call("GET", "/runtime/services")
    path = f"/runtime/services/{services['value'][0]['serviceId']}/slo"
    status, _ = await world.call("PUT", path, OBJECTIVE)
    assert status == HTTPStatus.OK, (status, path)
    return path
