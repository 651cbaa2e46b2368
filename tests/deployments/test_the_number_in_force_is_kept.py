"""What changes only how a release runs keeps the number of instances that is in force."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.remediate_drift import remediate_drift
from shared.contracts.roll_outs import RemediateDrift
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.test_a_module_is_relocated import moved
from tests.deployments.test_configuration_roll_outs import Told
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_policy_and_binding_stay import live_number, scale, turned_back, undone
from tests.deployments.told_policies import ENDED, scaled
from tests.deployments.told_secrets import bind, rolled_out
from tests.kit.virtual_time import run_virtual

RollOut = Callable[[Driven], Awaitable[Deployment]]
ASKED = 2
WORKER = {"port": None, "componentType": "worker"}


async def left(world: Driven, number: int, **changes: Any) -> None:
    """Release two instances, and have a policy scale them to *number* and end."""
    await world.tell()
    await bound(world, "Enforced", 2)
    await bind(world, "v1")
    await Told(world).publish("module", 1, {"a": 1})
    component = await world.component(
        "one", replicas=ASKED, configurationMode="floating", **changes
    )
    await world.deploy(component)
    await world.settle()
    await scaled(world, 1)
    await scale(world, number)
    await scaled(world, 1, status=ENDED, left={"replicas": number, "releaseRevision": 1})


async def last(world: Driven) -> Deployment:
    by = (await world.target()).module(SHOP).by
    assert by is not None
    return await world.deployment(by)


async def configuration(world: Driven) -> Deployment:
    told = Told(world)
    await told.publish("module", 2, {"a": 2})
    await told.settle()
    return await last(world)


async def secret(world: Driven) -> Deployment:
    return await rolled_out(world, "v2", 1)


async def relocation(world: Driven) -> Deployment:
    await bound(world, "Moving", 3)
    await moved(world, "Completed")
    return await last(world)


async def repair(world: Driven, number: int | None = None) -> Deployment:
    command = RemediateDrift.model_validate(
        {
            "environmentId": TEST,
            "moduleId": SHOP,
            "findingId": f"df-{TEST.removeprefix('env-')}-abcdefghijkl",
            "path": "replicas",
            "recordedRevision": (await world.target()).module(SHOP).revision,
            "replicas": number,
        }
    )
    await remediate_drift(command, world.ctx, world.app)
    await world.settle()
    return await last(world)


def numbers(done: Deployment) -> tuple[str, int, int | None]:
    (component,) = done.released_components
    return done.status, component.replicas, component.asked_replicas


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(5, id="more-than-asked-for"),
        pytest.param(1, id="fewer-than-asked-for", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("roll_out", [configuration, secret, relocation, repair])
def test_what_a_policy_left_is_kept_until_the_next_release(roll_out: RollOut, number: int) -> None:
    async def main() -> None:
        world = driven()
        await left(world, number)

        done = await roll_out(world)
        live = await live_number(world)
        again = await repair(world)
        await world.deploy(await world.component("two", replicas=ASKED))
        await world.settle()

        assert (numbers(done), live) == (("Completed", number, ASKED), number)
        assert numbers(again) == ("Completed", number, ASKED)
        assert numbers(await last(world)) == ("Completed", ASKED, None)

    run_virtual(main())


@pytest.mark.parametrize("live", [4, 8], ids=["fewer", "more"])
def test_a_repair_of_the_number_brings_what_a_policy_left(live: int) -> None:
    async def main() -> None:
        world = driven()
        await left(world, 5)
        await scale(world, live)

        done = await repair(world)

        assert (numbers(done), await live_number(world)) == (("Completed", 5, ASKED), 5)

    run_virtual(main())


@pytest.mark.parametrize(
    ("kind", "adopted", "number"),
    [
        pytest.param({}, 7, 7, id="some"),
        pytest.param(WORKER, 0, 0, id="none-of-a-worker"),
        pytest.param({}, 0, 5, id="not-none-of-what-takes-requests"),
    ],
)
def test_a_repair_brings_the_number_that_somebody_adopted(
    kind: Mapping[str, Any], adopted: int, number: int
) -> None:
    async def main() -> None:
        world = driven()
        await left(world, 5, **kind)
        await scale(world, 4)

        done = await repair(world, adopted)

        assert (numbers(done), await live_number(world)) == (("Completed", number, ASKED), number)

    run_virtual(main())


@pytest.mark.parametrize("roll_out", [configuration, secret, relocation])
def test_what_somebody_added_by_hand_stays_and_is_not_recorded(roll_out: RollOut) -> None:
    async def main() -> None:
        world = driven()
        await left(world, 5)
        await scale(world, 8)

        done = await roll_out(world)

        assert (numbers(done), await live_number(world)) == (("Completed", 5, ASKED), 8)

    run_virtual(main())


def test_a_number_that_a_rollback_kept_is_kept_by_what_comes_then() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        two = await world.deploy(await world.component("two", replicas=3))
        await world.settle()
        await undone(world, two["deploymentId"])

        done = await secret(world)

        assert (numbers(done), await live_number(world)) == (("Completed", 3, 1), 3)

    run_virtual(main())


def test_a_release_that_goes_back_leaves_what_a_policy_left() -> None:
    async def main() -> None:
        world = driven()
        await left(world, 1)

        back = await turned_back(world)

        assert back.proof is not None
        assert (back.proof.whole, await live_number(world)) == (True, 1)

    run_virtual(main())


@pytest.mark.parametrize(
    "is_deleted",
    [pytest.param(False, id="in-force", marks=pytest.mark.long), pytest.param(True, id="deleted")],
)
@pytest.mark.parametrize(
    ("kind", "halt_at"),
    [
        pytest.param({}, "shift_traffic", id="before-it-has-traffic"),
        pytest.param(WORKER, "shift_traffic", id="a-worker-that-starts"),
        pytest.param(WORKER, "begin_promotion", id="a-worker-that-is-judged"),
    ],
)
def test_a_policy_that_raised_only_the_version_in_force_leaves_as_many_to_the_new_one(
    kind: Mapping[str, Any], halt_at: str, *, is_deleted: bool
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await scaled(world, 1)
        await world.deploy(await world.component("one", replicas=ASKED, **kind))
        await world.settle()
        world.halt_at = halt_at
        two = await world.deploy(await world.component("two", replicas=ASKED, **kind))
        await world.until(world.is_halted)
        await scale(world, 4)
        if is_deleted:
            await scaled(world, 1, status=ENDED, left={"replicas": 4, "releaseRevision": 2})
        world.go_on()
        await world.settle()

        assert await world.status(two["deploymentId"]) == "Completed"
        assert await live_number(world) == 4

    run_virtual(main())
