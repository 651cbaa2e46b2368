"""One drain at a time empties an environment, and only the generation that goes."""

import copy
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from function_apps.deployments.ports import LOCAL_RULES, DeploymentsRules
from function_apps.deployments.triggers import CONTROLS
from function_apps.environments.ports import LOCAL_RULES as LOCAL_ENVIRONMENTS_RULES
from function_apps.environments.ports import EnvironmentsRules
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Reading
from shared.kernel.operation import SUPERSEDED, Operation, OperationStatus
from shared.surfaces.observed_state import Inventory
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import SHOP, Driven, driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.virtual_time import run_virtual

STEPS = ["begin_drain", "cancel_page", "acquire_drain_fence", "drain_page", "publish_drained"]


async def draining_at(world: Driven, step: str) -> Operation:
    """Release and decommission, and stand still before *step* of the drain."""
    await world.tell()
    await world.release("one")
    await world.tell(EnvironmentStatus.DECOMMISSIONING)
    world.halt_at = step
    await world.until(world.is_halted)
    drain = (await world.target()).drain
    assert drain is not None
    return await world.operation_of(drain.operation)


async def assert_superseded(world: Driven, drain: Operation) -> None:
    ended = await world.operation_of(drain.operation_id)
    assert ended.status is OperationStatus.CANCELED
    assert ended.error is not None
    assert ended.error["code"] == SUPERSEDED


@pytest.mark.parametrize("step", STEPS)
def test_a_drain_leaves_a_later_generation_alone(step: str) -> None:
    async def main() -> None:
        world = driven()
        late = await draining_at(world, step)
        await world.tell(EnvironmentStatus.DECOMMISSIONED)
        await world.tell(generation=2)
        answer = await world.deploy(await world.component("two"))
        world.go_on()
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.status == "Completed"
        assert world.live() == ({2: 1}, {2: 100})
        assert world.bench.sent.bodies("RuntimeEnvironmentDrained") == []
        await assert_superseded(world, late)

    run_virtual(main())


@pytest.mark.parametrize("step", STEPS)
def test_a_second_decommissioning_takes_over_from_the_drain_at_work(step: str) -> None:
    async def main() -> None:
        world = driven()
        first = await draining_at(world, step)
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        world.go_on()
        await world.settle()

        assert len(world.bench.sent.bodies("RuntimeEnvironmentDrained")) == 1
        assert world.live() == ({}, {})
        await assert_superseded(world, first)

    run_virtual(main())


class _Slow(MemorySurface):
    """A surface that lists an environment while the next drain takes over, and counts reads."""

    meanwhile: Callable[[], Awaitable[None]]
    reads = 0

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        reading = await super().inventory(environment)
        await self.meanwhile()
        return reading

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        self.reads += 1
        return await super().logs(component, instance, tail)


def test_a_drain_that_was_taken_over_while_it_listed_keeps_no_output() -> None:
    async def main() -> None:
        world = driven()
        surface = _Slow(world.world)
        world.app = replace(world.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})
        first = await draining_at(world, "drain_page")

        async def take_over() -> None:
            drain = (await world.target()).drain
            if drain is not None and drain.operation == first.operation_id:
                await world.tell(EnvironmentStatus.DECOMMISSIONING)

        surface.meanwhile = take_over
        world.go_on()
        await world.settle()

        await assert_superseded(world, first)
        assert world.live() == ({}, {})
        assert surface.reads == 1

    run_virtual(main())


def test_a_drain_ends_when_its_environment_is_gone() -> None:
    async def main() -> None:
        world = driven()
        drain = await draining_at(world, "drain_page")
        await world.tell(EnvironmentStatus.DECOMMISSIONED)

        assert (await world.target()).drain is None
        await assert_superseded(world, drain)

    run_virtual(main())


def test_a_drain_that_is_given_up_lets_the_next_one_begin() -> None:
    async def main() -> None:
        world = driven()
        drain = await draining_at(world, "drain_page")
        await CONTROLS[drain.kind].abandon(drain, world.ctx, world.app)

        assert (await world.target()).drain is None
        assert (await world.operation_of(drain.operation_id)).status is OperationStatus.FAILED

    run_virtual(main())


def test_a_drain_that_leaves_workloads_tells_nobody_that_it_is_done() -> None:
    async def main() -> None:
        world = driven()
        drain = await draining_at(world, "drain_page")
        record = world.world.component(world.surface_component(SHOP))
        left = copy.deepcopy(record.revisions)

        def come_back(activity: str) -> None:
            if activity == "publish_drained":
                record.revisions.update(left)

        world.interfere = come_back
        world.go_on()
        await world.settle()

        ended = await world.operation_of(drain.operation_id)
        assert ended.status is OperationStatus.FAILED
        assert ended.error is not None
        assert ended.error["code"] == "DrainIncomplete"
        assert world.bench.sent.bodies("RuntimeEnvironmentDrained") == []

    run_virtual(main())


def test_rollbacks_get_less_time_than_environments_waits_for_the_drain() -> None:
    assert DeploymentsRules().drain_rollback < EnvironmentsRules().drain_timeout
    assert LOCAL_RULES.drain_rollback < LOCAL_ENVIRONMENTS_RULES.drain_timeout


def test_a_drain_is_not_canceled() -> None:
    assert isinstance(CONTROLS["DrainEnvironment"].cancel, str)
