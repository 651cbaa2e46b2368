"""One release with a component on this machine and one in the cluster: one gate, one way back."""

from typing import Any

import pytest

from tests.kit.memory_cluster import Behaviour, MemoryCluster
from tests.kit.releases import MIXED, deploy, ended, mixed, provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World


def weights(cluster: MemoryCluster) -> dict[str, dict[int, int]]:
    """Return the weights of each module that *cluster* has."""
    return {
        component.module: dict(live.weights)
        for site in cluster.sites.values()
        for component, live in site.components.items()
        if live.revisions
    }


async def released(world: World, environment: str, version: str) -> Any:
    components = await mixed(world, version)
    return await ended(world, await deploy(world, environment, version, components=components))


@pytest.mark.long
def test_it_is_judged_proved_and_turned_back_as_one() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world, computeTargets=MIXED)
        first = await released(world, environment, "1")
        assert first["status"] == "Completed", first["reason"]
        assert (weights(world.surface), weights(world.cluster)) == (
            {"module-shop": {1: 100}},
            {"module-web": {1: 100}},
        )
        assert {each["computeTarget"] for each in first["releaseUnit"]["components"]} == {
            "LocalProcess",
            "AKS",
        }

        slow = (await mixed(world, "2"))[1]["artifactDigest"]
        world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
        second = await released(world, environment, "2")

        assert second["status"] == "RolledBack", second["reason"]
        assert second["proof"]["whole"]
        assert (weights(world.surface), weights(world.cluster)) == (
            {"module-shop": {1: 100}},
            {"module-web": {1: 100}},
        )
        _, services = await world.call("GET", "/runtime/services")
        assert {each["version"] for each in services["value"]} == {"1"}
        await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_the_end_of_its_environment_drains_both() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world, computeTargets=MIXED, dataResources=[])
        await released(world, environment, "1")

        path = f"/runtime/environments/{environment}"
        status, answer = await world.call("DELETE", path)
        assert status == 202, answer

        async def is_gone() -> bool:
            _, now = await world.call("GET", path)
            return bool(now["status"] == "Decommissioned")

        await world.until(is_gone)
        assert (weights(world.surface), weights(world.cluster)) == ({}, {})
        await world.stop()

    run_virtual(main())


def test_its_environment_says_where_each_target_is() -> None:
    async def main() -> None:
        world = World()
        await world.boot()

        environment = await provisioned(world, computeTargets=MIXED)

        _, shown = await world.call("GET", f"/runtime/environments/{environment}")
        local, in_cluster = shown["provisioned"]
        assert (local["kind"], in_cluster["kind"]) == ("LocalProcess", "AKS")
        assert in_cluster["resourceIds"] == [environment]
        assert in_cluster["endpoint"].startswith("http://")
        await world.stop()

    run_virtual(main())
