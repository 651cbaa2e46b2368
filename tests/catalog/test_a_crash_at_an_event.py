"""What a deployment leaves in catalog and health is the same wherever a host dies taking it in."""

import pytest

from tests.kit.parameters import unless_whole
from tests.kit.sending import send
from tests.kit.sweep import Scenario, wrong_ends
from tests.kit.told import ENVIRONMENT, WEB, ended, environment, released, run
from tests.kit.virtual_time import EPOCH
from tests.kit.world import World

API = "module-api"
TOPIC = "runtime-events"


async def release(world: World) -> None:
    """Tell of an environment, and of a deployment of two services that run in it."""
    if ENVIRONMENT not in world.surface.sites:
        await run(world.surface, WEB)
        await run(world.surface, API)
    await send(TOPIC, environment(1), number=1)
    await send(TOPIC, ended(1, [released(WEB), released(API)], at=EPOCH), number=2)
    await known(world, {"Running"})


async def release_and_decommission(world: World) -> None:
    """Then tell that the environment is gone."""
    await release_unless_gone(world)
    world.surface.sites[ENVIRONMENT].components.clear()
    await send(TOPIC, environment(2, gone=True), number=3)
    await known(world, {"Retired"})


async def release_unless_gone(world: World) -> None:
    bodies = [each.body for each in await world.documents("catalog") if each.id == "watch"]
    if not any(body["ended_at"] for body in bodies):
        await release(world)


async def known(world: World, statuses: set[str]) -> None:
    """Wait until catalog has both services in one of *statuses*, and health their targets."""

    async def reached() -> bool:
        services = [each.body for each in await world.documents("catalog") if each.id == "service"]
        targets = [each for each in await world.documents("health") if each.id == "target"]
        found = [body["status"] for body in services]
        return len(found) == len(targets) == 2 and set(found) <= statuses

    await world.until(reached, within_s=1800)


SCENARIOS: dict[str, Scenario] = {"release": release, "decommission": release_and_decommission}
POINTS_IN_EVERY_RUN = 2
POINTS_IN_A_LONG_RUN = 2


def test_killed_at_some_points_the_inventory_ends_as_undisturbed() -> None:
    assert wrong_ends(release, POINTS_IN_EVERY_RUN) == {}


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_many_points_the_inventory_ends_as_undisturbed(name: str) -> None:
    assert wrong_ends(SCENARIOS[name], unless_whole(POINTS_IN_A_LONG_RUN)) == {}
