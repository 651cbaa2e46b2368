"""A document that is gone or cannot be read keeps nothing else from its end."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.triggers import CONTROLS
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from shared.contracts.environments import EnvironmentStatus
from shared.durable.operations import OPERATIONS
from shared.kernel.ids import parse_id
from shared.persistence.store import Delete, Partition, Replace
from tests.deployments.driven import TEST, Driven, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

PARTITION = Partition(TENANT, parse_id(TEST, "env").environment)


async def damage(world: Driven, document_id: str, **fields: Any) -> None:
    store = world.app.service.store
    document = await store.read(PARTITION, document_id)
    assert document is not None
    await store.batch(PARTITION, [Replace(document_id, {**document.body, **fields}, document.etag)])


async def lose(world: Driven, document_id: str, *, is_gone: bool) -> None:
    if is_gone:
        await world.app.service.store.batch(PARTITION, [Delete(document_id)])
    else:
        await damage(world, document_id, revision="many")


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "unreadable"])
@pytest.mark.parametrize(
    "kind", ["Deploy", "RetryDeployment", "RollbackDeployment", "CancelDeployment"]
)
def test_an_operation_whose_deployment_is_lost_ends_alone_and_leaves_the_queue(
    kind: str, *, is_gone: bool
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        answer = await world.deploy(await world.component("one"))
        operation = replace(await world.operation_of(answer["operationId"]), kind=kind)
        await lose(world, answer["deploymentId"], is_gone=is_gone)

        await CONTROLS[kind].abandon(operation, world.ctx, world.app, None)

        assert (await world.operation_of(answer["operationId"])).is_terminal
        assert (await world.target()).queue == ()

    run_virtual(main())


def test_a_drain_whose_target_cannot_be_read_is_given_up() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        drain = (await world.target()).drain
        assert drain is not None
        operation = await world.operation_of(drain.operation)
        await damage(world, f"target/{TEST}", queue="none")

        await CONTROLS[operation.kind].abandon(operation, world.ctx, world.app, None)

        assert (await world.operation_of(drain.operation)).is_terminal

    run_virtual(main())


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "unreadable"])
def test_a_deployment_that_is_lost_does_not_stop_a_drain(*, is_gone: bool) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.halt_at = "check_environment"
        answer = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)
        await world.drop_running()
        await lose(world, answer["deploymentId"], is_gone=is_gone)

        world.go_on()
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        await world.settle()

        assert world.bench.sent.bodies("RuntimeEnvironmentDrained")

    run_virtual(main())


def test_a_deployment_is_shown_and_canceled_without_its_operation() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        answer = await world.deploy(await world.component("one"))
        await damage(world, OPERATIONS.document_id(answer["operationId"]), percent="many")

        assert (await world.shown(answer["deploymentId"])).operation is None
        assert (await world.cancel(answer["deploymentId"]))["status"] == "Cancelled"

    run_virtual(main())


def test_a_release_whose_deployment_is_lost_is_deployed_anew() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        command = await world.command(await world.component("one"))
        lost = (await deploy(command, world.ctx, world.app)).value["deploymentId"]
        await world.settle()
        await lose(world, lost, is_gone=True)

        plan = await plan_deployment(command, world.ctx, world.app)
        again = await deploy(command, world.ctx, world.app)
        await world.settle()

        assert (plan.refusals, again.is_repeat) == ((), False)
        assert await world.status(again.value["deploymentId"]) == "Completed"

    run_virtual(main())


def test_the_same_release_comes_after_one_on_its_way_that_is_lost() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")
        first = await world.deploy(component)
        await lose(world, first["deploymentId"], is_gone=True)

        again = await world.deploy(component)
        await world.settle()

        assert (await world.operation_of(first["operationId"])).is_terminal
        assert await world.status(again["deploymentId"]) == "Completed"

    run_virtual(main())
