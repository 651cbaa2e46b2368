"""What an instance count has grown by since a release asked for it never holds the release up."""

from typing import Any

import pytest

from shared.kernel.fence import Fence
from tests.deployments.driven import SHOP, Driven
from tests.deployments.test_a_recreate_goes_back import with_quota
from tests.deployments.told_policies import scaled
from tests.deployments.told_secrets import bind, roll_out
from tests.kit.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual


async def one_of_two(quota: int) -> Driven:
    """Return a world with that quota, and a release that asks for two instances in force."""
    world = await with_quota(quota)
    await bind(world, "v1")
    await world.deploy(await world.component("one", replicas=2))
    await world.settle()
    return world


async def scale(world: Driven, number: int) -> None:
    """Ask for so many instances of what is in force, as scaling or somebody does."""
    fence = Fence((await world.target()).fence, "somebody", "scale")
    await MemorySurface(world.world).scale(world.surface_component(SHOP), 1, number, fence)


@pytest.mark.parametrize("quota", [5, 6], ids=["full", "with-room"])
def test_a_release_comes_through_while_its_policy_raises_the_version_in_force(quota: int) -> None:
    async def main() -> Any:
        world = await with_quota(quota)
        await scaled(world, 1, 2)
        await world.deploy(await world.component("one", replicas=2))
        await world.settle()
        world.halt_at = "shift_traffic"
        two = await world.deploy(await world.component("two", replicas=2))
        await world.until(world.is_halted)
        await scale(world, 3)
        world.go_on()
        await world.settle()
        return await world.status(two["deploymentId"]), world.live()

    status, live = run_virtual(main())

    assert (status, live[1]) == ("Completed", {2: 100})
    assert live[0][2] >= 2


def test_a_roll_out_comes_through_with_as_many_as_its_release_asked_for() -> None:
    async def main() -> Any:
        world = await one_of_two(quota=7)
        await scale(world, 5)
        asked = await roll_out(world, "v2", 1)
        await world.settle()
        return await world.status(asked.value["deploymentId"])

    assert run_virtual(main()) == "Completed"


def test_all_traffic_goes_back_to_as_many_as_the_release_asked_for() -> None:
    """What somebody added has no room beside the rejected version, which would stay for ever."""

    async def main() -> Any:
        world = await one_of_two(quota=4)
        world.health.silent.add(await world.upload("two"))
        half = {"steps": [{"weight": 50}, {"weight": 100}]}
        two = await world.deploy(await world.component("two", replicas=2), strategy=half)

        async def takes_half() -> bool:
            return world.live()[1].get(2) == 50

        await world.until(takes_half)
        await scale(world, 3)
        await world.cancel(two["deploymentId"])
        await world.settle()
        return await world.status(two["deploymentId"]), world.live()

    assert run_virtual(main()) == ("RolledBack", ({1: 2}, {1: 100}))


def test_what_the_release_asked_for_is_waited_for() -> None:
    async def main() -> Any:
        world = await one_of_two(quota=3)
        two = await world.deploy(await world.component("two", replicas=2))
        await world.settle()
        return await world.status(two["deploymentId"])

    assert run_virtual(main()) == "RolledBack"
