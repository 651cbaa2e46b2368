"""What belongs to a generation of an environment that is gone lands in no later one."""

import pytest

from function_apps.deployments.model.module_queue import OUTGOING_MAX
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.durable.recovery import Recovery
from shared.kernel.operation import OperationStatus
from tests.deployments.driven import SHOP, Driven, driven
from tests.kit.virtual_time import run_virtual

FORWARD = [
    "start_rollout",
    "check_environment",
    "pin_release_unit",
    "begin_rollout",
    "apply_candidate",
    "shift_traffic",
    "check_analysis",
    "begin_promotion",
    "complete_release",
]


async def halted(world: Driven, content: str, step: str) -> str:
    """Lose the process of a rollout of *content* before *step*; return the deployment."""
    world.halt_at = step
    answer = await world.deploy(await world.component(content))
    await world.until(world.is_halted)
    await world.drop_running()
    world.go_on()
    return str(answer["deploymentId"])


async def next_generation(world: Driven, *, is_decommissioned_late: bool = False) -> None:
    """Destroy the stack while no drain runs, and provision it anew."""
    world.world.sites.clear()
    await world.tell(EnvironmentStatus.DECOMMISSIONING)
    world.bench.starts.started.clear()
    if is_decommissioned_late:
        world.revision += 1
    else:
        await world.tell(EnvironmentStatus.DECOMMISSIONED)
    await world.tell(EnvironmentStatus.REQUESTED, generation=2)
    await world.tell(generation=2)


async def recover(world: Driven) -> None:
    service = world.app.service
    for _ in range(6):
        await service.clock.sleep(700)
        await Recovery(service.store, world.bench.starts, service.clock, service.sweeps).sweep()
        await world.settle()


def live_instances(world: Driven) -> list[int]:
    components = [one for site in world.world.sites.values() for one in site.components.values()]
    return [number for one in components for number, r in one.revisions.items() if r.instances]


@pytest.mark.parametrize("step", FORWARD)
def test_a_rollout_of_a_generation_that_is_gone_ends_failed(step: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        identity = await halted(world, "one", step)

        await next_generation(world)
        await recover(world)

        ended = await world.deployment(identity)
        assert ended.status is DeploymentStatus.FAILED
        assert (await world.operation(identity)).status is OperationStatus.FAILED
        assert (await world.target()).module(SHOP).revision == 0
        assert live_instances(world) == []

    run_virtual(main())


@pytest.mark.parametrize("step", ["restore_previous", "remove_candidate", "finish_rollback"])
def test_a_rollback_of_a_generation_that_is_gone_leaves_no_instance_and_no_hold(step: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.bad.add(await world.upload("two"))
        await halted(world, "two", step)

        await next_generation(world)
        await recover(world)

        assert live_instances(world) == []
        assert not (await world.target()).holds

    run_virtual(main())


def test_the_next_generation_empties_the_target_before_the_end_of_the_last_is_heard() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")

        await next_generation(world, is_decommissioned_late=True)

        assert (await world.target()).module(SHOP).revision == 0

    run_virtual(main())


def test_the_targets_of_a_generation_that_is_gone_are_forgotten() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.tell(EnvironmentStatus.REQUESTED, generation=2)

        environment = (await world.target()).environment
        assert environment is not None
        assert environment.targets == ()

    run_virtual(main())


def test_whatever_waited_ends_without_recovery_when_its_generation_is_gone() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await halted(world, "one", "check_environment")
        second = (await world.deploy(await world.component("two")))["deploymentId"]

        await next_generation(world)
        await world.settle()

        assert {await world.status(first), await world.status(second)} == {"Failed"}
        done = await world.release("three")
        assert done.status is DeploymentStatus.COMPLETED

    run_virtual(main())


def test_one_asked_for_before_anything_was_heard_is_for_what_is_heard_first() -> None:
    async def main() -> None:
        world = driven()
        answer = await world.deploy(await world.component("one"))
        await world.tell(EnvironmentStatus.PROVISIONING, generation=2)
        await world.tell(generation=2)
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"

    run_virtual(main())


def test_a_drain_begins_although_as_many_wait_as_are_woken_in_one_batch() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(EnvironmentStatus.PROVISIONING)
        content = await world.component("one")
        for number in range(OUTGOING_MAX):
            await world.deploy({**content, "moduleId": f"module-{number}"})

        async def all_wait() -> bool:
            return all(entry.wait for entry in (await world.target()).queue)

        await world.until(all_wait)
        await world.tell(EnvironmentStatus.DECOMMISSIONING, generation=2)
        drain = (await world.target()).drain

        assert drain is not None
        assert drain.operation in {instance for _, instance, _ in world.bench.starts.started}

    run_virtual(main())


def test_a_full_queue_is_emptied_in_one_batch() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        for number in range(OUTGOING_MAX + 10):
            await world.deploy(await world.component(f"{number}"))

        await world.tell(EnvironmentStatus.REQUESTED, generation=2)

        assert (await world.target()).queue == ()

    run_virtual(main())
