"""A repeat gets the first answer, whatever has changed since."""

from typing import Any

import pytest

from function_apps.deployments.use_cases.abandon_operation import abandon_rollout
from function_apps.deployments.use_cases.cancel import cancel
from function_apps.deployments.use_cases.deploy import deploy
from function_apps.deployments.use_cases.promote import promote
from function_apps.deployments.use_cases.retry import retry
from function_apps.deployments.use_cases.roll_back import roll_back
from shared.contracts.deployments import DeploymentReason, RollbackDeployment
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from shared.kernel.context import Context
from shared.kernel.errors import Refused
from tests.deployments.driven import Driven, driven
from tests.deployments.test_promotion import SOAK, STAGING, soaked
from tests.kit.virtual_time import run_virtual


async def promotes(world: Driven) -> Any:
    one = await world.release("one")
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    command = PromoteDeployment(
        deployment_id=one.deployment_id,
        to_environment_id=STAGING,
        evidence=await soaked(world, one.deployment_id),
    )
    return lambda ctx: promote(command, ctx, world.app)


async def rolls_back(world: Driven) -> Any:
    await world.release("one")
    two = await world.release("two")
    command = RollbackDeployment(deployment_id=two.deployment_id)
    return lambda ctx: roll_back(command, ctx, world.app)


async def deploys(world: Driven) -> Any:
    command = await world.command(await world.component("one"))
    return lambda ctx: deploy(command, ctx, world.app)


async def cancels(world: Driven) -> Any:
    answer = await world.deploy(await world.component("one"))
    return lambda ctx: cancel(answer["deploymentId"], DeploymentReason(), ctx, world.app)


async def retries(world: Driven) -> Any:
    one = await world.release("one")
    command = await world.command(await world.component("two"))
    world.interfere = refuse
    answer = (await deploy(command, world.ctx, world.app)).value
    await world.settle()
    world.interfere = lambda _name: None
    assert one.status == "Completed"
    return lambda ctx: retry(answer["deploymentId"], DeploymentReason(), ctx, world.app)


def refuse(activity: str) -> None:
    if activity == "pin_release_unit":
        raise Refused("the plan does not hold", code="PlanRefused")


@pytest.mark.parametrize(
    "prepare", [deploys, promotes, rolls_back, cancels, retries], ids=lambda each: each.__name__
)
def test_the_same_key_gets_the_first_answer_after_the_module_has_moved_on(prepare: Any) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        ask = await prepare(world)
        ctx: Context = world.bench.ctx(marker="idem/1", fingerprint="f")
        first = await ask(ctx)
        await world.settle()
        await world.release("moved-on")

        again = await ask(world.bench.ctx(marker="idem/1", fingerprint="f"))
        await world.settle()

        assert again.is_repeat
        assert again.value == first.value

    run_virtual(main())


def test_a_key_that_met_a_deployment_on_its_way_keeps_that_answer() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        command = await world.command(await world.component("one"))
        first = (await deploy(command, world.ctx, world.app)).value
        keyed = world.bench.ctx(marker="idem/k", fingerprint="f")
        answer = await deploy(command, keyed, world.app)
        operation = await world.operation_of(first["operationId"])
        await abandon_rollout(operation, world.ctx, world.app)
        await retry(first["deploymentId"], DeploymentReason(), world.ctx, world.app)

        again = await deploy(command, keyed, world.app)

        assert answer.is_repeat
        assert (again.value, again.is_repeat) == (answer.value, True)
        assert answer.value["operationId"] == first["operationId"]

    run_virtual(main())
