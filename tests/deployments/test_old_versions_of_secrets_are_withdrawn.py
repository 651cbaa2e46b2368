"""Before a rotation disables old versions, deployments gives none of them to a module any more."""

from collections.abc import Mapping
from typing import Any

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.stop_roll_outs import stop_roll_outs
from function_apps.deployments.use_cases.withdraw_secret_versions import withdraw_secret_versions
from shared.contracts.roll_outs import WithdrawSecretVersions
from shared.kernel.errors import Refused
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.told_secrets import (
    BINDING,
    VAULT,
    bind,
    live_secrets,
    roll_out,
    rolled_out,
    rotation_failed,
    rotation_id,
)
from tests.kit.virtual_time import run_virtual

NAME = "password"


async def withdraw(
    world: Driven, version: str, number: int, vault: str = VAULT
) -> list[Mapping[str, Any]]:
    """Ask to give SHOP no version but that of rotation *number*; return the confirmations."""
    command = WithdrawSecretVersions.model_validate(
        {
            "environmentId": TEST,
            "moduleId": SHOP,
            "bindingId": BINDING,
            "secretName": NAME,
            "version": version,
            "vaultUri": vault,
            "rotationId": rotation_id(NAME, number),
        }
    )
    before = len(confirmations(world))
    await withdraw_secret_versions(command, world.ctx, world.app)
    return confirmations(world)[before:]


def confirmations(world: Driven) -> list[Mapping[str, Any]]:
    return [each["payload"] for each in world.bench.sent.bodies("ConfirmWithdrawal")]


async def bound() -> Driven:
    world = driven()
    await world.tell()
    await bind(world, "v1")
    return world


async def rotated() -> tuple[Driven, Deployment]:
    """Release SHOP with v1, and rotate its secret to v2 to the end; return that release too."""
    world = await bound()
    first = await world.release("one")
    await rolled_out(world, "v2", 1)
    await withdraw(world, "v2", 1)
    return world, first


def given(world: Driven) -> Mapping[str, str]:
    return {each.name: each.version for each in live_secrets(world)}


def test_of_what_has_the_version_already_it_is_confirmed() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        await rolled_out(world, "v2", 1)
        return await withdraw(world, "v2", 1)

    (confirmed,) = run_virtual(main())

    assert (confirmed["bindingId"], confirmed["environmentId"]) == (BINDING, TEST)
    assert confirmed["rotationId"] == rotation_id(NAME, 1)


def test_what_runs_an_older_version_is_not_confirmed() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        return await withdraw(world, "v2", 1)

    assert run_virtual(main()) == []


def test_a_first_release_with_an_older_version_is_waited_for() -> None:
    """Nothing is in force yet, so no roll-out was made for it."""

    async def main() -> Any:
        world = await bound()
        await world.deploy(await world.component("one"))
        world.begin()
        await world.app.service.clock.sleep(5)
        meanwhile = await withdraw(world, "v2", 1)
        await world.settle()
        ended = await withdraw(world, "v2", 1)
        await rolled_out(world, "v2", 1)
        return meanwhile, ended, given(world), await withdraw(world, "v2", 1)

    meanwhile, ended, live, followed = run_virtual(main())

    assert (meanwhile, ended) == ([], [])
    assert live == {NAME: "v2"}
    assert len(followed) == 1


def test_a_release_that_begins_after_it_has_the_version_that_stays() -> None:
    async def main() -> Any:
        world = await bound()
        confirmed = await withdraw(world, "v2", 1)
        await world.release("one")
        return confirmed, given(world)

    confirmed, live = run_virtual(main())

    assert len(confirmed) == 1
    assert live == {NAME: "v2"}


def test_a_release_on_its_way_that_has_the_version_is_not_waited_for() -> None:
    """A module that is released again and again is never without one."""

    async def main() -> Any:
        world, _ = await rotated()
        confirmed = []
        for activity in ("start_rollout", "shift_traffic"):
            world.halt_at = activity
            await world.deploy(await world.component(f"before {activity}"))
            await world.until(world.is_halted)
            confirmed.append(len(await withdraw(world, "v2", 1)))
            world.go_on()
            await world.settle()
        return confirmed, given(world)

    assert run_virtual(main()) == ([1, 1], {NAME: "v2"})


def test_a_rollback_on_its_way_to_the_older_version_is_waited_for() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        followed = await rolled_out(world, "v2", 1)
        world.halt_at = "shift_traffic"
        await world.rollback(followed.deployment_id)
        await world.until(world.is_halted)
        meanwhile = await withdraw(world, "v2", 1)
        world.go_on()
        await world.settle()
        return meanwhile

    assert run_virtual(main()) == []


def keep_candidate(activity: str) -> None:
    if activity == "remove_candidate":
        raise Refused("the surface takes no removal", code="NotNow")


def test_instances_that_a_failed_rollback_left_with_the_older_version_are_waited_for() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        followed = await rolled_out(world, "v2", 1)
        world.halt_at = "begin_promotion"
        back = await world.rollback(followed.deployment_id)
        await world.until(world.is_halted)
        world.interfere = keep_candidate
        await world.cancel(back["deploymentId"])
        world.go_on()
        await world.settle()
        world.interfere = lambda _activity: None
        left = await world.status(back["deploymentId"]), await withdraw(world, "v2", 1)
        await world.release("two")
        return left, len(await withdraw(world, "v2", 1))

    assert run_virtual(main()) == (("Failed", []), 1)


def test_the_next_rotation_brings_its_version_at_once() -> None:
    async def main() -> Any:
        world, _ = await rotated()
        done = await rolled_out(world, "v3", 2)
        return given(world), done.released_components[0].secret_versions

    assert run_virtual(main()) == ({NAME: "v3"}, {NAME: "v3"})


def test_the_next_rotation_may_be_rolled_back_again() -> None:
    async def main() -> Any:
        world, _ = await rotated()
        done = await rolled_out(world, "v3", 2)
        await world.rollback(done.deployment_id)
        await world.settle()
        return given(world)

    assert run_virtual(main()) == {NAME: "v2"}


def test_an_older_version_that_its_binding_tells_late_is_not_given() -> None:
    async def main() -> Any:
        world = await bound()
        await withdraw(world, "v2", 1)
        await bind(world, "v1", revision=2, target="ANOTHER")
        await world.release("one")
        return given(world)

    assert run_virtual(main()) == {NAME: "v2"}


def test_before_its_binding_is_known_it_is_not_confirmed() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        return await withdraw(world, "v2", 1)

    assert run_virtual(main()) == []


def test_of_an_earlier_rotation_than_the_last_it_is_not_confirmed() -> None:
    async def main() -> Any:
        world = await bound()
        await withdraw(world, "v3", 2)
        return await withdraw(world, "v2", 1)

    assert run_virtual(main()) == []


def test_a_binding_that_begins_again_brings_no_withdrawn_version_back() -> None:
    async def main() -> Any:
        world, first = await rotated()
        await bind(world, "v2", revision=3, status="Revoked")
        await bind(world, "v2", revision=4)
        two = await world.release("two")
        await world.rollback(two.deployment_id, toDeploymentId=first.deployment_id)
        await world.settle()
        return given(world)

    assert run_virtual(main()) == {NAME: "v2"}


def test_a_later_rotation_brings_no_withdrawn_version_back() -> None:
    async def main() -> Any:
        world, first = await rotated()
        await rolled_out(world, "v3", 2)
        two = await world.release("two")
        await world.rollback(two.deployment_id, toDeploymentId=first.deployment_id)
        await world.settle()
        return given(world)

    assert run_virtual(main()) == {NAME: "v3"}


def test_a_newer_version_that_its_binding_tells_is_given() -> None:
    async def main() -> Any:
        world = await bound()
        await withdraw(world, "v2", 1)
        await bind(world, "v3", revision=2)
        await world.release("one")
        return given(world)

    assert run_virtual(main()) == {NAME: "v3"}


def test_of_a_secret_in_another_vault_nothing_is_withdrawn() -> None:
    async def main() -> Any:
        world = await bound()
        confirmed = await withdraw(world, "v2", 1, vault="https://kv-other.vault.azure.net/")
        await world.release("one")
        return confirmed, given(world)

    assert run_virtual(main()) == ([], {NAME: "v1"})


def test_of_a_secret_in_another_vault_nothing_is_rolled_out() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        await roll_out(world, "v2", 1, vaultUri="https://kv-other.vault.azure.net/")
        await world.settle()
        return given(world)

    assert run_virtual(main()) == {NAME: "v1"}


def test_of_a_rotation_that_failed_it_changes_nothing_once_the_next_is_asked_for() -> None:
    async def main() -> Any:
        world, _ = await rotated()
        event = rotation_failed("v2", 1)
        await stop_roll_outs(event, world.bench.ctx(), world.app)
        await roll_out(world, "v1", 2)
        late = await withdraw(world, "v2", 1)
        await world.settle()
        return late, given(world)

    assert run_virtual(main()) == ([], {NAME: "v1"})


def test_a_repeat_is_not_recorded_again() -> None:
    async def main() -> Any:
        world = await bound()
        await world.release("one")
        await withdraw(world, "v2", 1)
        before = await world.target()
        await withdraw(world, "v2", 1)
        return before == await world.target()

    assert run_virtual(main())
