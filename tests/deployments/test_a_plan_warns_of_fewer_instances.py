"""A dry run warns where its release brings fewer instances than run now."""

from collections.abc import Sequence

import pytest

from function_apps.deployments.use_cases.deploy import plan_deployment
from tests.deployments.driven import SHOP, Driven, driven
from tests.deployments.test_policy_and_binding_stay import live_number, scale
from tests.deployments.told_policies import ENDED, scaled
from tests.kit.virtual_time import run_virtual


async def warnings(world: Driven, replicas: int) -> Sequence[str]:
    component = await world.component("two", replicas=replicas)
    plan = await plan_deployment(await world.command(component), world.ctx, world.app)
    return plan.warnings


async def under_load() -> Driven:
    """Have a release of one instance that a policy has scaled to three."""
    world = driven()
    await world.tell()
    await world.release("one")
    await scaled(world, 1)
    await scale(world, 3)
    return world


@pytest.mark.parametrize(
    ("replicas", "words"),
    [
        pytest.param(1, "module-shop runs 3 instances now, and this release brings 1", id="fewer"),
        pytest.param(3, "", id="as-many"),
    ],
)
def test_after_the_end_of_a_policy_it_warns_of_fewer_than_run(replicas: int, words: str) -> None:
    async def main() -> Sequence[str]:
        world = await under_load()
        await scaled(world, 1, status=ENDED, left={"replicas": 3, "releaseRevision": 1})
        return await warnings(world, replicas)

    said = run_virtual(main())

    assert len(said) == bool(words)
    assert words in "".join(said)


@pytest.mark.parametrize(
    ("is_deleted", "replicas", "number"),
    [
        pytest.param(False, 1, 3, id="of-a-policy-as-many-as-run"),
        pytest.param(True, 1, 1, id="after-its-end-as-it-asks-for"),
        pytest.param(True, 4, 4, id="after-its-end-more"),
    ],
)
def test_a_plan_has_the_number_that_its_release_brings(
    replicas: int, number: int, *, is_deleted: bool
) -> None:
    async def main() -> None:
        world = await under_load()
        if is_deleted:
            await scaled(world, 1, status=ENDED, left={"replicas": 3, "releaseRevision": 1})
        component = await world.component("two", replicas=replicas)

        plan = await plan_deployment(await world.command(component), world.ctx, world.app)
        await world.deploy(component)
        await world.settle()

        assert plan.replicas == {SHOP: number}
        assert await live_number(world) == number
        assert bool(plan.warnings) == (number < 3)

    run_virtual(main())


def test_a_first_release_and_one_whose_surface_is_away_is_planned_without_it() -> None:
    async def main() -> tuple[Sequence[str], Sequence[str]]:
        world = driven()
        await world.tell()
        first = await warnings(world, 1)
        await world.release("one")
        await scale(world, 3)
        world.world.unreadable = "away"
        return first, await warnings(world, 1)

    assert run_virtual(main()) == ((), ())
