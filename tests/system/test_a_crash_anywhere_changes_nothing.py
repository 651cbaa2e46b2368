"""The crash sweep: killed before or after any write, every scenario ends as if it had not been."""

from typing import Any

import pytest

from tests.kit.memory_cluster import Behaviour
from tests.kit.parameters import long_but, unless_whole
from tests.kit.releases import (
    ENVIRONMENT,
    MIXED,
    a_component,
    brought_out,
    mixed,
    provisioned,
    until_status,
    uploaded,
)
from tests.kit.sweep import (
    Scenario,
    differences,
    reference,
    undisturbed,
    wrong_ends,
)
from tests.kit.world import World


async def provision(world: World) -> None:
    """Ask for an environment as a client that repeats what it got no answer to."""
    status, environment = await world.call("POST", "/runtime/environments", ENVIRONMENT)
    assert status == 202, environment
    path = f"/runtime/environments/{environment['environmentId']}"

    async def is_provisioned() -> bool:
        _, now = await world.call("GET", path)
        return bool(now["status"] == "Provisioned")

    await world.until(is_provisioned, within_s=1800)


async def provision_and_decommission(world: World) -> None:
    """Ask for an environment, then for its end."""
    _, listed = await world.call("GET", "/runtime/environments")
    leaving = {"Decommissioning", "Decommissioned"}
    if not listed["value"] or listed["value"][0]["status"] not in leaving:
        await provision(world)
        _, listed = await world.call("GET", "/runtime/environments")
    path = f"/runtime/environments/{listed['value'][0]['environmentId']}"
    status, answer = await world.call("DELETE", f"{path}?confirm=shop")
    assert status == 202, answer

    async def is_gone() -> bool:
        _, now = await world.call("GET", path)
        return bool(now["status"] == "Decommissioned")

    await world.until(is_gone, within_s=3600)


async def roll_out(world: World) -> None:
    """Bring out a first release, then a second through its canary."""
    environment = await provisioned(world)
    for version in ("1", "2"):
        deployment = await brought_out(world, environment, version)
        assert deployment["status"] == "Completed", deployment["reason"]


async def turn_back(world: World) -> None:
    """Bring out a release, then a slow one that its gate turns back."""
    environment = await provisioned(world)
    first = await brought_out(world, environment, "1")
    assert first["status"] == "Completed", first["reason"]
    slow = await uploaded(world, "2")
    world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
    second = await brought_out(world, environment, "2")
    assert second["status"] == "RolledBack", second["reason"]


async def release_on_two_surfaces(world: World) -> None:
    """Bring out a release with a component on each surface, then one that is slow on one."""
    environment = await provisioned(world, computeTargets=MIXED)
    first = await brought_out(world, environment, "1", components=await mixed(world, "1"))
    assert first["status"] == "Completed", first["reason"]
    components = await mixed(world, "2")
    world.surface.behaviours[components[0]["artifactDigest"]] = Behaviour(latency_ms=400.0)
    second = await brought_out(world, environment, "2", components=components)
    assert second["status"] == "RolledBack", second["reason"]


async def run_a_job_first(world: World) -> None:
    """Bring out a release with a job and a schedule, then one whose server is slow."""
    environment = await provisioned(world)
    slow = await uploaded(world, "2")
    world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
    for version, status in (("1", "Completed"), ("2", "RolledBack")):
        digest = await uploaded(world, version)
        bare = {"port": None, "probes": {}, "replicas": 1}
        components = [
            a_component(digest, version, dependsOn=["module-migrate"]),
            a_component(digest, version, "module-migrate", runsOnce={}, **bare),
            a_component(digest, version, "module-report", schedule={"cron": "0 2 * * *"}, **bare),
        ]
        ended = await brought_out(world, environment, version, components=components)
        assert ended["status"] == status, ended["reason"]


async def roll_out_configuration(world: World) -> None:
    """Publish twice: a first release is given one version, and floats to the other."""
    environment = await provisioned(world)
    await published(world, environment, 1)
    digest = await uploaded(world, "1")
    floating = [a_component(digest, "1", configurationMode="floating")]
    first = await brought_out(world, environment, "1", components=floating)
    assert first["status"] == "Completed", first["reason"]
    assert first["configuration"]["environment"] == 1
    await published(world, environment, 2)

    async def rolled_out() -> Any:
        _, listed = await world.call("GET", f"/runtime/deployments?environmentId={environment}")
        found = [each for each in listed["value"] if each["kind"] == "configuration"]
        return found if found and all(each["endedAt"] for each in found) else None

    (done,) = await world.until(rolled_out, within_s=7200, every_s=10)
    assert (done["status"], done["configuration"]["environment"]) == ("Completed", 2)


async def published(world: World, environment: str, number: int) -> None:
    """Have version *number* of the environment's layer, and wait until deployments has it."""
    layer = {"layer": "environment", "environmentId": environment}
    body = {"scope": layer, "values": {"number": number}, "expectedVersion": number - 1}

    async def is_published() -> bool:
        _, heads = await world.call("GET", f"/runtime/configurations?environmentId={environment}")
        if any(each["version"] >= number for each in heads["value"]):
            return True
        status, _ = await world.call("POST", "/runtime/configurations", body)
        return status == 201  # not yet where the environment has not been heard of

    await world.until(is_published, within_s=1800)
    component = a_component(await uploaded(world, "1"), "planned")
    planned = {
        "environmentId": environment,
        "releaseRef": "planned",
        "components": [component],
        "dryRun": True,
    }

    async def is_recorded() -> bool:
        _, plan = await world.call("POST", "/runtime/deployments", planned)
        pins = [each["configuration"]["environment"] for each in plan["components"]]
        return bool(pins[0] >= number)

    await world.until(is_recorded, within_s=1800)


async def rotate(world: World) -> None:
    """Bring out a release with a secret, then rotate that to its last consumer."""
    environment = await provisioned(world)
    binding = {
        "environmentId": environment,
        "moduleId": "module-web",
        "secretName": "db-password",
        "generator": {"kind": "random"},
        "target": "DB_PASSWORD",
    }
    status, bound = await world.call("POST", "/runtime/secret-bindings", binding)
    assert status in {200, 202}, bound
    path = f"/runtime/secret-bindings/{bound['bindingId']}"
    await until_status(world, path, {"Bound"})
    await world.clock.sleep(60)  # until deployments has heard of it
    first = await brought_out(world, environment, "1")
    assert first["status"] == "Completed", first["reason"]
    once = {"Idempotency-Key": "rotation-1"}
    status, rotation = await world.call("POST", f"{path}/rotate", {}, headers=once)
    assert status == 202, rotation
    await until_status(world, f"/runtime/secret-rotations/{rotation['rotationId']}", {"Revoked"})
    (spec,) = [
        revision.spec
        for site in world.surface.sites.values()
        for component in site.components.values()
        for revision in component.revisions.values()
    ]
    _, now = await world.call("GET", path)
    assert [secret.version for secret in spec.secrets] == [now["version"]]


async def bind_and_unbind(world: World) -> None:
    """Bind a tenant to an environment of its own, and another one, which is then taken away."""
    environment = await provisioned(world, admits=["globex"])
    root, once = "/runtime/tenant-bindings", {"Idempotency-Key": "binding-1"}
    body = {"environmentId": environment, "ownerTenantId": "acme"}
    for tenant in ("acme", "globex"):

        async def is_bound(tenant: str = tenant) -> Any:
            status, bound = await world.call("POST", root, body, tenant=tenant, headers=once)
            assert status in {201, 404}, bound  # it has to be heard of first
            return bound if status == 201 else None

        path = f"{root}/{(await world.until(is_bound))['bindingId']}"

        async def is_past_bound(path: str = path, tenant: str = tenant) -> bool:
            _, binding = await world.call("GET", path, tenant=tenant)
            return bool(binding["status"] != "Bound")

        await world.until(is_past_bound, within_s=1800)
    await world.clock.sleep(90)  # until both were looked at
    await world.call("DELETE", f"{path}?confirm=globex", tenant="globex")

    async def is_gone() -> bool:
        _, binding = await world.call("GET", path, tenant="globex")
        return bool(binding["status"] == "Unbound")

    await world.until(is_gone, within_s=1800)
    boundaries = [site.boundaries for site in world.surface.sites.values()]
    assert [sorted(t for t, b in each.items() if b.spec) for each in boundaries] == [["acme"]]

    async def report() -> Any:
        status, body = await world.call("GET", f"{path}/erasure-report", tenant="globex")
        return body if status == 200 else None

    made = await world.until(report, within_s=1800)
    await world.clock.sleep(90)
    assert await report() == made
    assert (made["ending"], made["tenantId"]) == ("GuestLeft", "globex")


SCENARIOS: dict[str, Scenario] = {
    "provision": provision,
    "decommission": provision_and_decommission,
    "roll-out": roll_out,
    "turn-back": turn_back,
    "two-surfaces": release_on_two_surfaces,
    "jobs": run_a_job_first,
    "rotate": rotate,
    "configuration": roll_out_configuration,
    "bind-and-unbind": bind_and_unbind,
}
POINTS_IN_EVERY_RUN = 1
POINTS_IN_A_LONG_RUN = 1
"""Of up to 1,400: with SWEEP=all in the environment every one of them, which takes an hour."""


def test_killed_at_some_points_a_roll_out_ends_as_undisturbed() -> None:
    assert wrong_ends(roll_out, POINTS_IN_EVERY_RUN) == {}


@pytest.mark.parametrize("name", long_but(["roll-out"], SCENARIOS))
def test_messages_that_come_twice_late_and_out_of_order_change_nothing(name: str) -> None:
    _, expected = reference(SCENARIOS[name])
    _, found = undisturbed(SCENARIOS[name], is_unruly=True)

    assert found == expected, differences(expected, found)


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_many_points_a_scenario_ends_as_undisturbed(name: str) -> None:
    assert wrong_ends(SCENARIOS[name], unless_whole(POINTS_IN_A_LONG_RUN)) == {}
