"""A release through the real host, on virtual time: gated, promoted in steps, turned back."""

import pytest

from tests.kit.memory_cluster import Behaviour
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


@pytest.mark.long
def test_a_fix_lands_when_the_version_in_force_is_dead() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await ended(world, await deploy(world, environment, "1"))
        world.surface.behaviours[await uploaded(world, "1")] = Behaviour(becomes_ready=False)

        fix = await ended(world, await deploy(world, environment, "2"))

        assert fix["status"] == "Completed", fix["reason"]
        assert fix["steps"][0]["shares"][0]["weight"] == 100
        await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_bad_fix_over_a_dead_version_leaves_the_traffic_where_it_is_answered() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await ended(world, await deploy(world, environment, "1"))
        world.surface.behaviours[await uploaded(world, "1")] = Behaviour(becomes_ready=False)
        world.surface.behaviours[await uploaded(world, "2")] = Behaviour(error_ratio=0.3)

        fix = await ended(world, await deploy(world, environment, "2"))

        assert (fix["status"], fix["reason"]["code"]) == ("Failed", "NothingToGoBackTo")
        assert fix["held"]
        assert "the traffic is on revision 2 (100 %)" in fix["remaining"][0]
        await world.stop()

    run_virtual(main())
