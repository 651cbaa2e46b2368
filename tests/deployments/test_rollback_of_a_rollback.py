"""Undoing a rollback goes one release further back, under that release's own name."""

import pytest

from function_apps.deployments.errors import Held, NotRollbackable
from function_apps.deployments.use_cases.promote import plan_promotion
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from tests.deployments.driven import CART, SHOP, WEB, Driven, driven
from tests.deployments.test_promotion import SOAK, STAGING, promote_after
from tests.deployments.test_rolling_back import release_held
from tests.kit.virtual_time import run_virtual


async def released(world: Driven, *names: str) -> str:
    """Release shop under each of *names*; return the last deployment."""
    last = ""
    for name in names:
        done = await world.release(name, releaseRef=name)
        assert done.status is DeploymentStatus.COMPLETED
        last = done.deployment_id
    return last


async def undone(world: Driven, deployment: str) -> tuple[str, str, str | None]:
    """Roll *deployment* back; return the rollback, its name, and whose content runs then."""
    answer = await world.rollback(deployment)
    await world.settle()
    done = await world.deployment(answer["deploymentId"])
    assert done.status is DeploymentStatus.COMPLETED
    unit = done.candidate(SHOP)
    names = {await world.upload(name): name for name in ("v1", "v2", "v3", "v4")}
    return done.deployment_id, done.release_ref, names[unit.digest] if unit else None


def test_each_rollback_of_a_rollback_goes_one_release_further_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        three = await released(world, "v1", "v2", "v3")

        first, *seen_first = await undone(world, three)
        second, *seen_second = await undone(world, first)

        assert seen_first == ["v2", "v2"]
        assert seen_second == ["v1", "v1"]
        with pytest.raises(NotRollbackable, match="first release"):
            await world.rollback(second)

    run_virtual(main())


def test_what_a_release_after_a_rollback_goes_back_to_is_what_the_rollback_restored() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        two = await released(world, "v1", "v2")
        await undone(world, two)
        four = await released(world, "v4")

        back, *seen = await undone(world, four)

        assert seen == ["v1", "v1"]
        with pytest.raises(NotRollbackable, match="first release"):
            await world.rollback(back)

    run_virtual(main())


def test_a_rollback_to_a_named_deployment_is_undone_to_what_was_before_that_release() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await released(world, "v1")
        two = await released(world, "v2")
        four = await released(world, "v3", "v4")
        answer = await world.rollback(four, toDeploymentId=two)
        await world.settle()

        _, *seen = await undone(world, answer["deploymentId"])

        assert seen == ["v1", "v1"]

    run_virtual(main())


def test_what_was_taken_away_comes_back_only_by_name_and_released() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        two = await released(world, "v1", "v2")
        back, *_ = await undone(world, two)

        with pytest.raises(Held):
            await world.rollback(back, toDeploymentId=two)
        await release_held(world, back)
        answer = await world.rollback(back, toDeploymentId=two)
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert (done.status, done.release_ref) == (DeploymentStatus.COMPLETED, "v2")

    run_virtual(main())


def test_a_module_that_the_first_rollback_took_away_stays_away() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await released(world, "v1", "v2")
        answer = await world.deploy(
            await world.component("v3"), await world.component("cart", CART), releaseRef="v3"
        )
        await world.settle()

        first, *_ = await undone(world, answer["deploymentId"])
        assert world.live(CART) == ({}, {})
        _, *seen = await undone(world, first)

        assert seen == ["v1", "v1"]
        assert world.live(CART) == ({}, {})

    run_virtual(main())


def test_modules_of_different_releases_each_go_to_what_was_before_theirs() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await released(world, "v1", "v2")
        await world.deploy(await world.component("web 1", WEB), releaseRef="web-1")
        await world.settle()
        answer = await world.deploy(
            await world.component("v3"), await world.component("web 2", WEB), releaseRef="both"
        )
        await world.settle()

        first, name, content = await undone(world, answer["deploymentId"])
        second, *seen = await undone(world, first)

        assert (name, content) == ("web-1", "v2")
        assert seen == ["v1", "v1"]
        done = await world.deployment(second)
        assert done.unit is not None
        assert done.unit.removed == (WEB,)

    run_virtual(main())


def test_a_promoted_rollback_carries_the_name_of_the_release_it_restored() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.tell(stage=Stage.STAGING, name="staging")
        three = await released(world, "v1", "v2", "v3")
        first, *_ = await undone(world, three)
        second, *_ = await undone(world, first)

        promoted = await world.deployment(await promote_after(world, second, after=SOAK))
        command = PromoteDeployment(deployment_id=second, to_environment_id=STAGING)
        plan = await plan_promotion(command, world.bench.ctx(), world.app, token="t")

        assert promoted.release_ref == "v1"
        assert plan.release_ref == "v1"
        assert promoted.remove == ()

    run_virtual(main())
