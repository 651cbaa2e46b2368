"""A whole life of an environment, with everything that the platform does in it, has no drift."""

import pytest

from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import deploy, ended, provisioned, publish, until_status, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World


@pytest.mark.long
def test_releases_rollbacks_and_rotations_are_never_reported() -> None:
    async def main() -> tuple[list[object], object]:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            environment = await provisioned(world)
            await publish(world, environment, 1, "module-web")
            slow = await uploaded(world, "slow")
            world.surface.behaviours[slow] = Behaviour(latency_ms=400.0)
            last = ""
            for release in ("1", "2"):
                last = await deploy(world, environment, release)
                assert (await ended(world, last))["status"] == "Completed"
            turned_back = await ended(world, await deploy(world, environment, "slow"))
            assert turned_back["status"] == "RolledBack"
            await world.call("POST", f"/runtime/deployments/{last}/rollback", {})
            await world.clock.sleep(3600)
            _, report = await world.call("GET", f"/runtime/drift/{environment}")
            path = f"/runtime/environments/{environment}"
            await world.call("DELETE", f"{path}?confirm=shop")
            await until_status(world, path, {"Decommissioned"})
            await world.clock.sleep(3600)
            _, at_the_end = await world.call("GET", f"/runtime/drift/{environment}")
            return report["coverage"], [*report["value"], *at_the_end["value"]]
        finally:
            await world.stop()

    coverage, found = run_virtual(main())

    assert found == []
    assert [each["plane"] for each in coverage if each["complete"]] == [
        "workload", "replicas", "configuration", "secrets", "routing",
    ]  # fmt: skip
    assert all(each["seen"] == 1 for each in coverage if each["complete"])
