"""RepairEnvironment: what somebody changed is put back, and the tenant is isolated again."""

from typing import Any

import pytest

from function_apps.environments.errors import EnvironmentNotFound, NotSupported
from function_apps.environments.model.lifecycle import State
from function_apps.environments.use_cases.repair_environment import repair_environment
from shared.contracts.environments import RepairEnvironment
from shared.kernel.context import Context
from shared.kernel.transitions import TransitionRefused
from tests.environments.driven import Environments, environments
from tests.environments.test_the_isolation_of_a_tenant import GLOBEX, Guest, guest
from tests.kit.virtual_time import run_virtual


async def repair(world: Environments, identity: str, ctx: Context | None = None) -> list[Any]:
    """Ask for a repair, and run what that began; return how it ended."""
    command = RepairEnvironment(environment_id=identity)
    await repair_environment(command, ctx or world.ctx, world.app)
    return await world.run_started()


async def provisioned() -> tuple[Environments, str]:
    world = environments()
    identity = await world.request()
    await world.run_started()
    return world, identity


async def bound() -> Guest:
    """Return a tenant that is isolated in another one's environment."""
    on = await guest()
    await on.hears(1, "Bound", 1)
    await on.hears(2, "Enforced", 1)
    return on


def boundary(on: Guest) -> Any:
    return on.cluster.sites[on.environment].boundaries[GLOBEX]  # type: ignore[index]


def test_a_resource_that_somebody_took_away_is_made_again() -> None:
    async def main() -> None:
        world, identity = await provisioned()
        before = dict(world.world.resources)
        gone = next(urn for urn in before if urn.endswith("files"))
        del world.world.resources[gone]

        assert await repair(world, identity) == ["Applied"]
        assert world.world.resources == before
        assert (await world.environment(identity)).status is State.PROVISIONED

    run_virtual(main())


def test_an_update_with_the_same_content_does_not_look_at_what_is_live() -> None:
    async def main() -> None:
        world, identity = await provisioned()
        gone = next(urn for urn in world.world.resources if urn.endswith("files"))
        await repair(world, identity)
        del world.world.resources[gone]

        await world.update(identity)
        await world.run_started()

        assert gone not in world.world.resources

    run_virtual(main())


def test_a_repair_during_an_update_leaves_that_alone() -> None:
    async def main() -> None:
        world, identity = await provisioned()
        await world.update(identity, tags={"team": "web"})
        before = await world.environment(identity)

        assert await repair(world, identity) == ["Applied"]
        after = await world.environment(identity)
        assert (after.operation_id, after.is_repair) == (before.operation_id, False)

    run_virtual(main())


def test_an_environment_that_is_gone_is_not_repaired() -> None:
    async def main() -> None:
        world, identity = await provisioned()
        await world.decommission(identity)

        with pytest.raises(TransitionRefused):
            await repair(world, identity)

    run_virtual(main())


def test_the_boundary_of_a_guest_is_made_again_and_nothing_else() -> None:
    async def main() -> None:
        on = await bound()
        spec, boundary(on).spec = boundary(on).spec, None
        owner = await on.world.environment(on.environment)

        await repair(on.world, on.environment, on.ctx)
        await on.follow()
        await on.world.run_started()

        assert boundary(on).spec == spec
        assert await on.world.environment(on.environment) == owner

    run_virtual(main())


def test_a_repair_that_comes_twice_isolates_the_tenant_once() -> None:
    async def main() -> None:
        on = await bound()
        for _ in range(2):
            await repair(on.world, on.environment, on.ctx)
        await on.follow()

        assert len(await on.world.run_started()) == 1
        await on.follow()
        assert await on.world.run_started() == []

    run_virtual(main())


def test_a_tenant_that_has_nothing_there_finds_no_such_environment() -> None:
    async def main() -> None:
        on = await guest()

        with pytest.raises(EnvironmentNotFound):
            await repair(on.world, on.environment, on.ctx)

    run_virtual(main())


def test_single_resources_are_refused_by_name() -> None:
    async def main() -> None:
        world, identity = await provisioned()
        command = RepairEnvironment(environment_id=identity, targets=("urn:pulumi:a",))

        with pytest.raises(NotSupported, match="targets"):
            await repair_environment(command, world.ctx, world.app)

    run_virtual(main())
