"""Instances that were stopped with their host have their whole time again to become ready."""

import asyncio
from datetime import timedelta
from typing import Any

from tests.deployments.driven import Driven, driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.virtual_time import run_virtual

READY_WITHIN_S = 300.0


async def interrupted_release(world: Driven, *, away_s: float, start_s: float) -> Any:
    """Begin the second release of shop; stop everything while its instances start."""
    await world.tell()
    await world.release("one")
    digest = await world.upload("two")
    world.world.behaviours[digest] = Behaviour(start_s=start_s)
    world.halt_at = "check_ready"
    answer = await world.deploy(await world.component("two"))
    await world.until(world.is_halted)
    await world.app.service.clock.sleep(away_s)
    world.world.stop()
    began_at = world.app.service.clock.now()
    world.go_on()
    await world.settle()
    deployment = await world.deployment(answer["deploymentId"])
    assert deployment.ended_at is not None
    return deployment.status.value, deployment.ended_at - began_at


def test_a_release_whose_host_was_away_for_longer_than_its_time_completes() -> None:
    async def main() -> Any:
        return await interrupted_release(driven(), away_s=3600.0, start_s=READY_WITHIN_S - 60)

    status, _ = run_virtual(main())

    assert status == "Completed"


def test_a_release_that_is_not_ready_in_its_time_after_that_is_rolled_back() -> None:
    async def main() -> Any:
        return await interrupted_release(driven(), away_s=3600.0, start_s=1e6)

    status, took = run_virtual(main())

    assert status == "RolledBack"
    assert took <= timedelta(seconds=2 * READY_WITHIN_S)


def test_a_rollback_whose_host_was_away_is_proved_when_its_instances_are_back() -> None:
    async def main() -> str:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.bad.add(await world.upload("two"))
        world.halt_at = "finish_rollback"
        answer = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)
        await world.app.service.clock.sleep(3600.0)
        world.world.tampered.add("module-shop-1-0")
        asyncio.get_running_loop().call_later(60.0, world.world.tampered.clear)
        world.go_on()
        await world.settle()
        return await world.status(answer["deploymentId"])

    assert run_virtual(main()) == "RolledBack"
