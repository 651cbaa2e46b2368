"""A call to a surface that is on its way when its operation is given up changes nothing."""

import asyncio
from typing import Any

from function_apps.deployments.use_cases.abandon_operation import abandon_drain, abandon_rollout
from shared.contracts.environments import EnvironmentStatus
from tests.deployments.driven import SHOP, Driven, driven
from tests.kit.virtual_time import run_virtual


def hold(world: Driven, method: str, *, before: bool) -> tuple[asyncio.Event, asyncio.Event]:
    """Let the surface stand still in *method*; return when it does, and what lets it go on."""
    surface = next(iter(world.app.surfaces.values()))
    inner = getattr(surface, method)
    is_held, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        is_held.set()
        await go_on.wait()

    async def held(*arguments: Any) -> Any:
        if before:
            await wait()
        answer = await inner(*arguments)
        if not before:
            await wait()
        return answer

    setattr(surface, method, held)
    return is_held, go_on


def test_an_application_on_its_way_starts_nothing_for_a_rollout_that_was_given_up() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        is_held, go_on = hold(world, "apply", before=True)
        answer = await world.deploy(await world.component("one"))
        world.begin()
        await asyncio.wait_for(is_held.wait(), 60)

        operation = await world.operation_of(answer["operationId"])
        await abandon_rollout(operation, world.ctx, world.app)
        go_on.set()
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Failed"
        assert not world.world.component(world.surface_component(SHOP)).revisions

    run_virtual(main())


def test_giving_up_a_rollout_keeps_what_runs() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.halt_at = "begin_promotion"
        answer = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)
        before = world.live()

        operation = await world.operation_of(answer["operationId"])
        await abandon_rollout(operation, world.ctx, world.app)

        assert world.live() == before

    run_virtual(main())


def test_a_surface_that_hangs_keeps_nobody_waiting_for_the_end_of_a_rollout() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        is_held, _ = hold(world, "apply", before=True)
        answer = await world.deploy(await world.component("one"))
        world.begin()
        await asyncio.wait_for(is_held.wait(), 60)
        hold(world, "observe", before=True)

        operation = await world.operation_of(answer["operationId"])
        async with asyncio.timeout(30):
            await abandon_rollout(operation, world.ctx, world.app)

        assert await world.status(answer["deploymentId"]) == "Failed"
        await world.drop_running()

    run_virtual(main())


def test_a_drain_that_was_given_up_while_it_listed_removes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        is_held, go_on = hold(world, "inventory", before=False)
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        world.begin()
        await asyncio.wait_for(is_held.wait(), 600)

        drain = (await world.target()).drain
        assert drain is not None
        await abandon_drain(await world.operation_of(drain.operation), world.ctx, world.app)
        go_on.set()
        await world.settle()

        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_giving_up_a_rollout_of_a_generation_that_is_gone_overtakes_nobody() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.halt_at = "shift_traffic"
        answer = await world.deploy(await world.component("one"))
        await world.until(world.is_halted)
        await world.drop_running()
        world.world.sites.clear()
        await world.tell(EnvironmentStatus.REQUESTED, generation=2)
        await world.tell(generation=2)
        world.bench.starts.started.clear()
        world.go_on()
        await world.release("two")
        before = world.world.component(world.surface_component(SHOP)).fence

        operation = await world.operation_of(answer["operationId"])
        await abandon_rollout(operation, world.ctx, world.app)

        assert await world.status(answer["deploymentId"]) == "Failed"
        assert world.world.component(world.surface_component(SHOP)).fence == before

    run_virtual(main())
