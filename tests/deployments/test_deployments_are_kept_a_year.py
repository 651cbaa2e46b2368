"""Deployments that ended a year ago go, but for what is in force or may be gone back to."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.deployments.errors import DeploymentMissing
from function_apps.deployments.model.artifact_retention import RELEASES_KEPT
from function_apps.deployments.use_cases.remove_artifacts import EVERY, remove_unneeded_artifacts
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.retention import Retention
from shared.durable.operations import OPERATIONS
from shared.persistence.store import Replace, partition_of
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.deployments.told_secrets import bind, live_secrets
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

YEAR = Retention().ended


async def passes(world: Driven, time: timedelta = YEAR) -> None:
    """Let *time* pass, and the timer run."""
    await world.app.service.clock.sleep(time.total_seconds())
    await remove_unneeded_artifacts(world.app)


async def is_there(world: Driven, *deployments: str) -> list[bool]:
    found = []
    for deployment in deployments:
        try:
            await world.deployment(deployment)
            found.append(True)
        except DeploymentMissing:
            found.append(False)
    return found


@pytest.mark.long
def test_ten_releases_stay_for_ever_and_one_before_them_goes_after_a_year() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        releases = [await world.release(f"{number}") for number in range(RELEASES_KEPT + 2)]
        ids = [each.deployment_id for each in releases]

        await passes(world, YEAR - 2 * EVERY)
        assert all(await is_there(world, *ids))
        await passes(world, 10 * YEAR)

        # The eleventh is what the tenth went from: an undo of the tenth goes back to it.
        assert await is_there(world, *ids) == [False, *[True] * (RELEASES_KEPT + 1)]
        back = await world.rollback(ids[-1], toDeploymentId=ids[-RELEASES_KEPT])
        await world.settle()
        assert await world.status(back["deploymentId"]) == "Completed"

    run_virtual(main())


@pytest.mark.long
def test_what_is_in_force_stays_however_many_releases_of_others_came_since() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        both = await world.deploy(
            await world.component("shop"), await world.component("cart", CART)
        )
        await world.settle()
        for number in range(RELEASES_KEPT + 2):
            await world.release(f"{number}")

        await passes(world, 2 * YEAR)

        assert await is_there(world, both["deploymentId"]) == [True]
        in_force = (await world.target()).module(CART)  # type: ignore[arg-type]
        assert in_force.by == both["deploymentId"]

    run_virtual(main())


@pytest.mark.long
def test_one_with_a_hold_stays_until_that_is_released() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("good")
        world.health.bad.add(await world.upload("bad"))
        bad = await world.release("bad")
        for number in range(RELEASES_KEPT + 2):
            await world.release(f"{number}")

        await passes(world, 2 * YEAR)

        assert bad.holds
        assert await is_there(world, bad.deployment_id) == [True]

    run_virtual(main())


def test_one_on_its_way_stays() -> None:
    async def main() -> None:
        world = driven()
        waiting = await world.deploy(await world.component("one"))

        await passes(world)

        assert await is_there(world, waiting["deploymentId"]) == [True]

    run_virtual(main())


def test_those_of_an_environment_that_is_gone_go_a_year_after_their_end() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.tell(EnvironmentStatus.DECOMMISSIONED)
        await world.settle()

        await passes(world, YEAR - 2 * EVERY)
        assert await is_there(world, one.deployment_id) == [True]
        await passes(world, 3 * EVERY)

        assert await is_there(world, one.deployment_id) == [False]

    run_virtual(main())


def test_an_operation_goes_a_year_after_its_end_and_its_deployment_may_stay() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        one = await world.release("one")
        work = world.app.service.work
        before = await work.find(OPERATIONS, one.operation_id, TENANT)

        await passes(world)

        assert before is not None
        assert await work.find(OPERATIONS, one.operation_id, TENANT) is None
        assert await is_there(world, one.deployment_id) == [True]
        two = await world.release("two")
        await world.rollback(two.deployment_id)
        await world.settle()
        return (await world.target()).module(SHOP)  # type: ignore[arg-type]

    assert run_virtual(main()).revision == 3


def test_no_deployment_goes_while_a_document_of_anybody_cannot_be_read() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        releases = [await world.release(f"{number}") for number in range(RELEASES_KEPT + 2)]
        store, at = world.app.service.store, partition_of(TENANT, TEST)
        newest = await store.read(at, releases[-1].deployment_id)
        assert newest is not None
        damaged = {**newest.body, "components": "none"}
        await store.batch(at, [Replace(newest.id, damaged, newest.etag)])

        await passes(world, 2 * YEAR)

        assert await is_there(world, releases[0].deployment_id) == [True]

    run_virtual(main())


def test_a_secret_that_is_bound_anew_is_taken_though_its_revision_is_lower() -> None:
    """Secret_bindings forgets a revoked binding after a year, and counts from one again."""

    async def main() -> Any:
        world = driven()
        await world.tell()
        await bind(world, "v1", 7)
        await bind(world, "v1", 8, status="Revoked")
        await bind(world, "v0", 6)
        await world.release("without")
        without = live_secrets(world)

        await world.app.service.clock.sleep(YEAR.total_seconds())
        await bind(world, "v9", 1)
        await world.release("with")

        return without, [secret.version for secret in live_secrets(world)]

    assert run_virtual(main()) == ((), ["v9"])
