"""The crash sweep: killed before or after any write, every scenario ends as if it had not been."""

from functools import cache

import pytest

from tests.kit.sweep import Scenario, differences, killed_at, undisturbed
from tests.kit.world import World

ENVIRONMENT = {
    "name": "shop",
    "projectId": "proj-web",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
    "dataResources": [{"kind": "LocalFolder", "name": "files"}],
}


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
    status, answer = await world.call("DELETE", path)
    assert status == 202, answer

    async def is_gone() -> bool:
        _, now = await world.call("GET", path)
        return bool(now["status"] == "Decommissioned")

    await world.until(is_gone, within_s=3600)


SCENARIOS: dict[str, Scenario] = {
    "provision": provision,
    "decommission": provision_and_decommission,
}


@cache
def reference(name: str) -> tuple[list[str], list[str]]:
    return undisturbed(SCENARIOS[name])


def sweep(name: str, every: int) -> None:
    points, expected = reference(name)
    assert len(points) > 20
    wrong = {}
    for point in range(1, len(points) + 1, every):
        where, found = killed_at(SCENARIOS[name], point)
        if found != expected:
            wrong[f"{point}: {where}"] = differences(expected, found)
    assert wrong == {}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_some_points_a_scenario_ends_as_undisturbed(name: str) -> None:
    sweep(name, every=7)


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_point_a_scenario_ends_as_undisturbed(name: str) -> None:
    sweep(name, every=1)
