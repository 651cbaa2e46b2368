"""A rollback and a cancellation warn of secrets that do not come back, as a release does."""

from collections.abc import Sequence
from typing import Any

from function_apps.deployments.use_cases.cancel import cancel
from function_apps.deployments.use_cases.plan_cancel import plan_cancel
from function_apps.deployments.use_cases.roll_back import plan_rollback
from shared.contracts.deployments import Cancellation, RollbackDeployment
from tests.deployments.driven import Driven, driven
from tests.deployments.told_secrets import bind, live_secrets, roll_out
from tests.kit.virtual_time import run_virtual

SECRET = "the secret password as PASSWORD (environmentVariable)"
LOSES = (f"module-shop has {SECRET} now, and is given it no more: its binding was revoked",)
LACKS = (f"module-shop does not get {SECRET} back: its binding was revoked",)


async def bound() -> Driven:
    world = driven()
    await world.tell()
    await bind(world, "v1")
    return world


async def warned(world: Driven, deployment: str) -> tuple[Sequence[str], Sequence[str]]:
    """Return the warnings of a rollback's dry run, and of its answer."""
    command = RollbackDeployment.model_validate({"deploymentId": deployment})
    plan = await plan_rollback(command, world.ctx, world.app)
    answer = await world.rollback(deployment)
    await world.settle()
    return plan.warnings, tuple(answer["warnings"])


def test_a_rollback_names_what_runs_with_it_and_does_not_get_it() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        two = await world.release("two")
        await bind(world, "v1", 2, status="Revoked")
        return await warned(world, two.deployment_id), [*live_secrets(world)]

    assert run_virtual(main()) == ((LOSES, LOSES), [])


def test_a_rollback_names_what_the_earlier_release_had() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        await bind(world, "v1", 2, status="Revoked")
        two = await world.release("two")
        return await warned(world, two.deployment_id)

    assert run_virtual(main()) == (LACKS, LACKS)


def test_a_rollback_says_nothing_of_a_secret_that_comes_back() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        return await warned(world, (await world.release("two")).deployment_id)

    assert run_virtual(main()) == ((), ())


def test_a_cancellation_names_it_in_its_dry_run_its_answer_and_a_repeat() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        world.halt_at = "shift_traffic"
        deployment = (await roll_out(world, "v2", 1)).value["deploymentId"]
        await world.until(world.is_halted)
        before = (await plan_cancel(deployment, Cancellation(), world.ctx, world.app)).warnings
        await bind(world, "v2", 2, status="Revoked")
        plan = await plan_cancel(deployment, Cancellation(), world.ctx, world.app)
        answers = [await cancel(deployment, Cancellation(), world.ctx, world.app) for _ in "ab"]
        world.go_on()
        await world.settle()
        said = [plan.warnings, *(tuple(each.value["warnings"]) for each in answers)]
        return before, said, [*live_secrets(world)]

    assert run_virtual(main()) == ((), [LACKS] * 3, [])
