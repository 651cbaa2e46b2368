"""A repeat answers the first result while that is on its way or in force; else it is a new try."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from function_apps.deployments.errors import NaturalKeyActive
from function_apps.deployments.model.facts import SecretFact
from tests.deployments.driven import Driven, driven
from tests.deployments.told_secrets import bind, live_secrets, roll_out, rotate
from tests.kit.virtual_time import run_virtual


def test_a_repeat_answers_the_deployment_that_is_on_its_way() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")

        first = await world.deploy(component)
        second = await world.deploy(component)

        assert second["deploymentId"] == first["deploymentId"]
        assert len((await world.target()).queue) == 1

    run_virtual(main())


def test_a_repeat_answers_what_is_in_force() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        repeated = await world.deploy(await world.component("one"))

        assert (repeated["deploymentId"], repeated["status"]) == (one.deployment_id, "Completed")

    run_virtual(main())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"replicas": 2}, id="replicas"),
        pytest.param({"environ": {"A": "b"}}, id="environ"),
    ],
)
def test_the_same_versions_run_otherwise_are_a_new_release(changes: dict[str, Any]) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        other = await world.deploy(await world.component("one", **changes))

        assert other["deploymentId"] != one.deployment_id

    run_virtual(main())


def test_a_restart_is_a_new_release_of_the_same() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")

        again = await world.release("one", restart=True)

        assert again.status == "Completed"
        assert world.live() == ({2: 1}, {2: 100})

    run_virtual(main())


def test_what_is_no_longer_in_force_is_deployed_again() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.release("two")

        again = await world.release("one")

        assert again.deployment_id != one.deployment_id
        assert again.status == "Completed"

    run_virtual(main())


def test_the_same_versions_asked_for_otherwise_are_a_conflict_while_they_are_on_their_way() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")
        first = await world.deploy(component)

        with pytest.raises(NaturalKeyActive) as refused:
            await world.deploy(component, strategy={"kind": "recreate"})

        assert refused.value.deployment == first["deploymentId"]

    run_virtual(main())


def test_a_repeat_answers_the_one_on_its_way_whatever_version_of_a_secret_it_began_with() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        await roll_out(world, "v2", 1)
        first = await world.deploy(await world.component("two"))

        async def is_rolled_out() -> bool:
            return (await world.status(first["deploymentId"])) != "Requested"

        await world.until(is_rolled_out)
        facts = (await world.target()).facts.values()
        assert {each.version for each in facts if isinstance(each, SecretFact)} == {"v2"}

        again = await world.deploy(await world.component("two"))

        assert again["deploymentId"] == first["deploymentId"]

    run_virtual(main())


async def _bound_first(world: Driven) -> None:
    await bind(world, "v1", 2)


async def _bound_to_another_vault(world: Driven) -> None:
    await bind(world, "v1", 2, vaultUri="https://kv-other.vault.azure.net/")


async def _bound_to_another_place(world: Driven) -> None:
    await bind(world, "v1", 2, target="OTHER")


async def _revoked(world: Driven) -> None:
    await bind(world, "v1", 2, status="Revoked")


CHANGES_OF_WHICH_SECRETS_THERE_ARE = [
    pytest.param(False, _bound_first, [("password", "PASSWORD")], id="bound"),
    pytest.param(True, _bound_to_another_vault, [("password", "PASSWORD")], id="another-vault"),
    pytest.param(True, _bound_to_another_place, [("password", "OTHER")], id="another-place"),
    pytest.param(True, _revoked, [], id="revoked"),
]


@pytest.mark.parametrize(("is_bound", "change", "given"), CHANGES_OF_WHICH_SECRETS_THERE_ARE)
def test_a_secret_bound_since_one_on_its_way_began_is_brought_by_a_release_of_its_own(
    change: Callable[[Driven], Awaitable[None]], given: list[tuple[str, str]], *, is_bound: bool
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        if is_bound:
            await bind(world, "v1")
        await world.release("one")
        world.halt_at = "shift_traffic"
        first = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        await change(world)
        again = await world.deploy(await world.component("two"))
        world.go_on()
        await world.settle()

        assert again["deploymentId"] != first["deploymentId"]
        assert [(each.name, each.variable) for each in live_secrets(world)] == given

    run_virtual(main())


def test_what_is_in_force_is_no_repeat_once_its_secret_is_bound_to_another_place() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")

        await _bound_to_another_place(world)
        await world.release("one")

        assert [each.variable for each in live_secrets(world)] == ["OTHER"]

    run_virtual(main())


async def _begun_again(world: Driven) -> None:
    """Revoke the binding, and make it again when the vault has a newer version."""
    await bind(world, "v1", 2, status="Revoked")
    await bind(world, "v2", 3)


@pytest.mark.parametrize("is_started", [False, True], ids=["waits", "began"])
def test_a_binding_that_begins_again_with_a_newer_version_is_given_to_the_module(
    *, is_started: bool
) -> None:
    """No roll-out brings it: a release that began before is followed by one that has it."""

    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        world.halt_at = "shift_traffic" if is_started else "start_rollout"
        first = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        await _begun_again(world)
        again = await world.deploy(await world.component("two"))
        world.go_on()
        await world.settle()

        assert (again["deploymentId"] != first["deploymentId"]) is is_started
        assert [each.version for each in live_secrets(world)] == ["v2"]

    run_virtual(main())


def test_one_release_is_made_of_what_is_sent_again_and_again_meanwhile() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        world.halt_at = "shift_traffic"
        first = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)
        await _begun_again(world)
        wanted = await world.component("two")

        found = {(await world.deploy(wanted))["deploymentId"] for _ in range(3)}
        world.go_on()
        await world.settle()

        assert len(found - {first["deploymentId"]}) == len(found) == 1

    run_virtual(main())


def test_a_newer_version_that_a_rotation_brings_is_waited_for() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        world.halt_at = "shift_traffic"
        first = await world.deploy(await world.component("one"))
        await world.until(world.is_halted)

        await rotate(world, "v2", 1)
        again = await world.deploy(await world.component("one"))

        assert again["deploymentId"] == first["deploymentId"]

    run_virtual(main())


def test_a_version_that_its_roll_out_waits_to_bring_is_waited_for() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        world.halt_at = "shift_traffic"
        first = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        await roll_out(world, "v2", 1)
        await bind(world, "v2", 2)
        again = await world.deploy(await world.component("two"))

        assert again["deploymentId"] == first["deploymentId"]

    run_virtual(main())


@pytest.mark.parametrize("more", [{}, {"releaseRef": "fixed-2"}], ids=["same", "renamed"])
def test_a_release_that_goes_back_is_no_answer_to_the_one_that_mends_it(
    more: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")
        world.health.bad.add(await world.upload("two"))
        world.halt_at = "restore_previous"
        first = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        same = await world.deploy(await world.component("two"))
        world.health.bad.clear()
        await rotate(world, "v2", 1)
        mended = await world.deploy(await world.component("two"), **more)
        world.go_on()
        await world.settle()

        assert same["deploymentId"] == first["deploymentId"]
        assert mended["deploymentId"] != first["deploymentId"]
        assert await world.status(first["deploymentId"]) == "RolledBack"
        assert await world.status(mended["deploymentId"]) == "Completed"
        assert [each.version for each in live_secrets(world)] == ["v2"]

    run_virtual(main())
