"""Scaling with all services: from a policy over HTTP to instances, inventory and release unit."""

from typing import Any

from tests.kit.releases import deploy, ended, provisioned, scaled
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

RULE = {"signal": "requests", "target": 10}


async def under_load(world: World, **changes: Any) -> tuple[str, str]:
    """Have a release with a policy, and return environment and policy."""
    await world.boot()
    environment = await provisioned(world)
    first = await ended(world, await deploy(world, environment, "1"))
    assert first["status"] == "Completed", first
    policy = await scaled(world, min=2, max=6, rules=[RULE], **changes)
    await world.clock.sleep(180)
    return environment, policy


async def service_in(world: World) -> Any:
    _, services = await world.call("GET", "/runtime/services")
    return services["value"][0]


def test_the_inventory_shows_the_number_that_a_policy_wants() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            _, policy = await under_load(world)
            _, shown = await world.call("GET", f"/runtime/scaling-policies/{policy}")
            service = await service_in(world)

            assert (shown["status"], shown["desired"]) == ("Enforced", 5)
            assert (service["replicas"], len(service["instances"])) == (5, 5)
            assert service["status"] == "Running"
            await world.call("DELETE", f"/runtime/scaling-policies/{policy}")
            await world.clock.sleep(60)
            assert (await service_in(world))["replicas"] == 2
        finally:
            await world.stop()

    run_virtual(main())


def test_the_next_release_begins_with_as_many_and_records_the_policy() -> None:
    async def main() -> None:
        world = World(requests_per_s=45, is_unruly=True)
        try:
            environment, policy = await under_load(world)
            second = await ended(world, await deploy(world, environment, "2"))
            (component,) = second["releaseUnit"]["components"]
            await world.clock.sleep(120)
            service = await service_in(world)
            _, page = await world.call("GET", f"/runtime/scaling-policies/{policy}/decisions")
            wanted = {each["desired"] for each in page["value"]}

            assert second["status"] == "Completed", second["reason"]
            assert (component["scalingPolicyRevision"], component["replicas"]) == (1, 2)
            assert service["releaseRevision"] == 2
            assert len(service["instances"]) == 5
            assert min(wanted - {None}) >= 2
        finally:
            await world.stop()

    run_virtual(main())


def test_a_release_that_goes_back_has_as_many_instances_as_before() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            environment, _ = await under_load(world)
            first = await ended(world, await deploy(world, environment, "2"))
            path = f"/runtime/deployments/{first['deploymentId']}/rollback"
            _, asked = await world.call("POST", path, {})
            back = await ended(world, asked["deploymentId"])
            service = await service_in(world)

            assert back["status"] == "Completed", back["reason"]
            assert service["version"] == "1"
            assert len(service["instances"]) == 5
        finally:
            await world.stop()

    run_virtual(main())
