"""One look does not decide: a proof that departs is asked again within a bound."""

import asyncio
from typing import Any

import pytest

from shared.contracts.deployments import DeploymentStatus
from tests.deployments.driven import SHOP, Driven, driven
from tests.kit.virtual_time import run_virtual

COMPLETE, FINISH = "complete_release", "finish_rollback"


async def second_release(world: Driven, **changes: Any) -> str:
    """Begin the second release of shop, with two instances of each version."""
    await world.tell()
    await world.deploy(await world.component("one", replicas=2))
    await world.settle()
    answer = await world.deploy(await world.component("two", replicas=2, **changes))
    return str(answer["deploymentId"])


def tampered(world: Driven, at: str, instance: str, *, for_s: float) -> None:
    """Have the proof of *instance* depart from when activity *at* begins, for so long."""

    def interfere(name: str) -> None:
        if name == at:
            world.interfere = lambda _name: None
            world.world.tampered.add(instance)
            loop = asyncio.get_running_loop()
            loop.call_later(for_s, world.world.tampered.discard, instance)

    world.interfere = interfere


@pytest.mark.parametrize("for_s", [1.0, 50.0])
def test_an_instance_that_departs_for_a_while_does_not_turn_a_release_back(for_s: float) -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world)
        tampered(world, COMPLETE, "module-shop-2-0", for_s=for_s)

        await world.settle()

        done = await world.deployment(identity)
        assert done.status is DeploymentStatus.COMPLETED
        assert done.proof is not None
        assert done.proof.whole

    run_virtual(main())


def test_an_instance_that_departs_for_longer_turns_the_release_back() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world)
        tampered(world, COMPLETE, "module-shop-2-0", for_s=600.0)

        await world.settle()

        done = await world.deployment(identity)
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.ROLLED_BACK, "ProofFailed")

    run_virtual(main())


QUESTION = {"release": {"path": "/version", "field": "version"}}


def test_a_release_that_says_it_is_another_gets_no_traffic() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world, **QUESTION)
        world.world.tampered.add("module-shop-2-0")

        await world.settle()

        done = await world.deployment(identity)
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.ROLLED_BACK, "ProofFailed")
        assert [step.started_at for step in done.steps] == [None] * len(done.steps)

    run_virtual(main())


def test_a_release_that_does_not_say_which_it_is_gets_no_traffic() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world, **QUESTION)
        world.world.mute.add("module-shop-2-0")

        await world.settle()

        done = await world.deployment(identity)
        assert done.reason is not None
        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason.message.endswith("module-shop-2-0 does not say its release")
        assert [step.started_at for step in done.steps] == [None] * len(done.steps)

    run_virtual(main())


def test_an_old_version_that_does_not_say_which_it_is_keeps_no_fix_away() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world, **QUESTION)
        world.world.mute.add("module-shop-1-0")

        await world.settle()

        assert await world.status(identity) == "Completed"

    run_virtual(main())


def test_a_release_that_says_so_for_a_while_only_goes_on() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world, **QUESTION)
        tampered(world, "check_ready", "module-shop-2-0", for_s=10.0)

        await world.settle()

        assert await world.status(identity) == "Completed"

    run_virtual(main())


def test_a_surface_that_cannot_be_asked_for_a_while_does_not_turn_a_release_back() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world)

        def interfere(name: str) -> None:
            if name == COMPLETE:
                world.interfere = lambda _name: None
                world.world.unreadable = "the control plane is away"
                asyncio.get_running_loop().call_later(60.0, setattr, world.world, "unreadable", "")

        world.interfere = interfere
        await world.settle()

        assert await world.status(identity) == "Completed"

    run_virtual(main())


def test_a_surface_that_is_away_while_instances_start_does_not_turn_a_release_back() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world)

        def interfere(name: str) -> None:
            if name == "check_ready":
                world.interfere = lambda _name: None
                world.world.unreadable = "the control plane is away"
                asyncio.get_running_loop().call_later(90.0, setattr, world.world, "unreadable", "")

        world.interfere = interfere
        await world.settle()

        assert await world.status(identity) == "Completed"

    run_virtual(main())


def test_an_instance_that_departs_for_a_while_does_not_fail_a_rollback() -> None:
    async def main() -> None:
        world = driven()
        world.health.bad.add(await world.upload("two"))
        identity = await second_release(world)
        tampered(world, FINISH, "module-shop-1-0", for_s=30.0)

        await world.settle()

        assert await world.status(identity) == "RolledBack"

    run_virtual(main())


def test_an_instance_that_restarts_at_the_second_of_the_proof_is_waited_for() -> None:
    async def main() -> None:
        world = driven()
        identity = await second_release(world)

        def interfere(name: str) -> None:
            if name == COMPLETE:
                world.interfere = lambda _name: None
                cluster = world.world.component(world.surface_component(SHOP))
                instances = cluster.revisions[2].instances
                asyncio.get_running_loop().call_later(10.0, instances.append, instances.pop())

        world.interfere = interfere
        await world.settle()

        assert await world.status(identity) == "Completed"
        assert world.live() == ({2: 2}, {2: 100})

    run_virtual(main())
