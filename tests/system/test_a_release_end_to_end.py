"""A release through the real host, on virtual time: gated, promoted in steps, turned back."""

from shared.surfaces.memory_cluster import Behaviour
from tests.kit.releases import deploy, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World


def test_a_good_release_completes_and_a_slow_one_is_turned_back_whole() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        first = await ended(world, await deploy(world, environment, "1"))
        second = await ended(world, await deploy(world, environment, "2"))
        slow = await uploaded(world, "3")
        world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
        third = await ended(world, await deploy(world, environment, "3"))
        _, services = await world.call("GET", "/runtime/services")

        assert first["status"] == "Completed", first["reason"]
        assert second["status"] == "Completed", second["reason"]
        assert [step["weight"] for step in second["steps"]] == [10, 50, 100]
        assert third["status"] == "RolledBack", third["reason"]
        assert third["proof"]["whole"]
        assert services["value"][0]["version"] == "2"
        await world.stop()

    run_virtual(main())
