"""What was checked at the request is checked again when the work starts: it may have changed."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from function_apps.deployments.errors import NotPromotable
from function_apps.deployments.use_cases.promote import promote
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import DeploymentReason, DeploymentStatus
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from tests.deployments.driven import Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound, proved
from tests.deployments.test_promotion import SOAK, STAGING, promote_after, soaked
from tests.kit.virtual_time import run_virtual


async def ended(world: Driven, deployment: str) -> tuple[str, str]:
    done = await world.deployment(deployment)
    return done.status, done.reason.code if done.reason else ""


@pytest.mark.parametrize("to_named", [False, True], ids=["to-the-one-before", "to-a-named-one"])
def test_a_rollback_of_what_was_replaced_while_it_waited_changes_nothing(*, to_named: bool) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        two = await world.release("two")
        three = await world.deploy(await world.component("three"))
        world.begin()
        await world.app.service.clock.sleep(5)

        more = {"toDeploymentId": one.deployment_id} if to_named else {}
        asked = await world.rollback(two.deployment_id, **more)
        await world.settle()

        assert (asked["waitingFor"], asked["holder"]) == ("queue", three["deploymentId"])
        assert await world.status(three["deploymentId"]) == "Completed"
        assert await ended(world, asked["deploymentId"]) == ("Failed", "NotInForce")
        assert world.live() == ({3: 1}, {3: 100})

    run_virtual(main())


def test_a_rollback_goes_on_when_the_one_before_it_in_the_queue_was_turned_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        world.health.bad.add(await world.upload("three"))
        await world.deploy(await world.component("three"))

        asked = await world.rollback(two.deployment_id)
        await world.settle()

        assert await ended(world, asked["deploymentId"]) == ("Completed", "")

    run_virtual(main())


def test_a_rollback_that_found_something_else_in_force_does_so_again_when_it_is_retried() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        await world.deploy(await world.component("three"))
        asked = await world.rollback(two.deployment_id)
        await world.settle()

        with pytest.raises(Exception, match="not in force any more"):
            await retry(asked["deploymentId"], DeploymentReason(), world.bench.ctx(), world.app)

    run_virtual(main())


async def queued_promotion(world: Driven) -> str:
    """Return a promotion to staging that waits there behind a rollout which nobody judges."""
    await world.tell()
    await world.tell(stage=Stage.STAGING, name="staging")
    one = await world.release("one")
    world.health.silent.add(await world.upload("busy"))
    await world.deploy(
        await world.component("busy"),
        environmentId=STAGING,
        gate={"deadline": "PT2H", "onInconclusive": "pass"},
    )
    return await promote_after(world, one.deployment_id, after=SOAK)


def test_a_promotion_whose_source_was_replaced_while_it_waited_changes_nothing() -> None:
    async def main() -> None:
        world = driven()
        promoted = await queued_promotion(world)
        two = await world.deploy(await world.component("two"))
        await world.until_ended(two["deploymentId"], within_s=600, every_s=5)

        await world.until_ended(promoted, within_s=4 * 3600, every_s=60)

        assert await ended(world, promoted) == ("Failed", "NotPromotable")

    run_virtual(main())


def test_a_promotion_that_waited_longer_than_the_soak_verdict_counts_is_asked_for_again() -> None:
    async def main() -> None:
        world = driven()
        promoted = await queued_promotion(world)

        await world.until_ended(promoted, within_s=4 * 3600, every_s=60)

        assert await ended(world, promoted) == ("Failed", "SoakVerdictStale")
        with pytest.raises(NotPromotable, match="promote again"):
            await retry(promoted, DeploymentReason(), world.bench.ctx(), world.app)

    run_virtual(main())


def test_evidence_that_is_too_old_is_refused_at_the_request() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.app.service.clock.sleep(SOAK.total_seconds())
        evidence = await soaked(world, one.deployment_id)
        await world.app.service.clock.sleep(timedelta(hours=2).total_seconds())
        command = PromoteDeployment(
            deployment_id=one.deployment_id, to_environment_id=STAGING, evidence=evidence
        )

        with pytest.raises(NotPromotable) as refused:
            await promote(command, world.bench.ctx(), world.app)

        assert refused.value.code == "SoakVerdictStale"

    run_virtual(main())


async def suspended(world: Driven) -> None:
    await bound(world, "Suspended", 2)


async def breached(world: Driven) -> None:
    await proved(world, "Breach", 2)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(suspended, "TenantBindingSuspended", id="suspended"),
        pytest.param(breached, "IsolationBreached", id="breached"),
    ],
)
@pytest.mark.parametrize("before", ["start_rollout", "check_environment", "begin_rollout"])
def test_what_forbids_a_deployment_before_its_first_change_stops_it(
    before: str, change: Callable[[Driven], Awaitable[Any]], code: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced")
        await world.release("one")
        world.halt_at = before
        asked = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        await change(world)
        world.go_on()
        await world.settle()

        assert await ended(world, asked["deploymentId"]) == (DeploymentStatus.FAILED, code)
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())
