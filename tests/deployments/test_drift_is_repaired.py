"""RemediateDrift brings the release in force once more, as a deployment of kind repair."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit.releases import deploy, ended, provisioned
from tests.kit.tampered import tampered
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World


async def repairs(world: World) -> list[Mapping[str, Any]]:
    _, listed = await world.call("GET", "/runtime/deployments")
    return [each for each in listed["value"] if each["kind"] == "repair"]


async def found(world: World) -> tuple[str, Mapping[str, Any]]:
    """Have a release and then a change of it; return the environment and the finding."""
    environment = await provisioned(world)
    await ended(world, await deploy(world, environment, "1"))
    return environment, await tampered(world, environment)


async def remediate(world: World, finding: Mapping[str, Any]) -> None:
    path = f"/runtime/drift-findings/{finding['findingId']}/remediate"
    status, answer = await world.call("POST", path, {"reason": "please"})
    assert status == 200, answer


def test_a_repair_that_drift_asks_for_ends_its_finding_and_leaves_a_whole_release() -> None:
    async def main() -> tuple[Any, Any, Any]:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            _, finding = await found(world)
            await remediate(world, finding)
            (repair,) = await world.until(lambda: repairs(world))
            done = await ended(world, repair["deploymentId"])
            path = f"/runtime/drift-findings/{finding['findingId']}"

            async def is_resolved() -> Any:
                _, shown = await world.call("GET", path)
                return shown if shown["status"] == "Resolved" else None

            resolved = await world.until(is_resolved)
            _, services = await world.call("GET", "/runtime/services")
            return done, resolved, services["value"][0]
        finally:
            await world.stop()

    repair, finding, service = run_virtual(main())

    assert (repair["status"], repair["releaseRef"]) == ("Completed", "v1")
    (unit,) = repair["releaseUnit"]["components"]
    assert unit["releaseRevision"] == service["releaseRevision"] == 2
    assert repair["proof"]["whole"]
    assert finding["occurrences"] == 1


@pytest.mark.long
def test_a_repair_that_waited_for_the_next_release_repairs_nothing() -> None:
    async def main() -> tuple[Any, Any, Any]:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            environment, finding = await found(world)
            release = await deploy(world, environment, "2")
            await remediate(world, finding)
            (repair,) = await world.until(lambda: repairs(world))
            assert (await ended(world, release))["status"] == "Completed"
            done = await ended(world, repair["deploymentId"])
            _, services = await world.call("GET", "/runtime/services")
            return repair, done, services["value"][0]
        finally:
            await world.stop()

    waiting, repair, service = run_virtual(main())

    assert waiting["waitingFor"] == "queue"
    assert (repair["status"], repair["reason"]["code"]) == ("Cancelled", "NothingToRollOut")
    assert (service["version"], service["releaseRevision"]) == ("2", 2)
