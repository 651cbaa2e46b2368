"""Data that a decommissioning was told to retain is lost by no repeat and by no typing error."""

import pytest

from function_apps.environments.errors import DataResourceUnknown, RetainDiffers
from shared.kernel.errors import Refused
from tests.environments.driven import Environments, environments
from tests.kit.virtual_time import run_virtual

TWO = {
    "dataResources": [
        {"kind": "LocalFolder", "name": "files"},
        {"kind": "LocalFolder", "name": "mail"},
    ]
}


async def _provisioned() -> tuple[Environments, str]:
    world = environments()
    identity = await world.request(**TWO)
    await world.run_started()
    return world, identity


async def _failed_to_leave(world: Environments, identity: str, **how: object) -> None:
    world.world.refusing["site"] = Refused("in use", code="InUse")
    await world.decommission(identity, **how)
    await world.run_started()
    world.world.refusing.clear()
    assert (await world.environment(identity)).status == "DecommissionFailed"


async def _left(world: Environments, identity: str) -> list[str]:
    await world.run_started()
    environment = await world.environment(identity)
    assert environment.status == "Decommissioned"
    return sorted(urn.rpartition("::")[2] for urn in environment.remaining)


@pytest.mark.parametrize("ended", [False, True], ids=["while-it-leaves", "when-it-is-gone"])
def test_other_data_to_retain_comes_too_late_and_is_refused_by_name(*, ended: bool) -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity, retain=["files"])
        if ended:
            await world.run_started()
        with pytest.raises(RetainDiffers) as refused:
            await world.decommission(identity, retain=["mail"])

        assert refused.value.details[0].target == "/retain"
        assert (refused.value.details[0].expected, refused.value.details[0].received) == (
            "files", "mail",
        )  # fmt: skip

    run_virtual(main())


@pytest.mark.parametrize("retain", [["files"], ["data-files"], []], ids=["same", "urn", "none"])
def test_the_same_deletion_again_gets_the_first_answer(retain: list[str]) -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        first = await world.decommission(identity, retain=["files"])
        again = await world.decommission(identity, retain=retain)

        assert again.value["operationId"] == first.value["operationId"]

    run_virtual(main())


def test_a_name_that_the_environment_does_not_have_is_refused_with_those_it_has() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        with pytest.raises(DataResourceUnknown) as refused:
            await world.decommission(identity, retain=["flies"])

        assert "files, mail" in refused.value.message
        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_data_of_an_update_that_failed_can_be_retained() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        await world.update(identity, **TWO)
        await world.run_started()
        world.world.refusing.clear()
        await world.decommission(identity, retain=["mail"])

        assert await _left(world, identity) == ["data-mail", "shop"]

    run_virtual(main())


def test_after_a_failed_deletion_the_next_one_retains_the_same() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _failed_to_leave(world, identity, retain=["files"])
        await world.decommission(identity)

        assert await _left(world, identity) == ["data-files", "shop"]

    run_virtual(main())


def test_after_a_failed_deletion_the_next_one_may_retain_more() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _failed_to_leave(world, identity, retain=["files"])
        world.world.refusing["data-mail"] = Refused("in use", code="InUse")
        await world.decommission(identity, retain=["mail"])

        assert await _left(world, identity) == ["data-files", "data-mail", "shop"]

    run_virtual(main())


def test_the_next_generation_retains_nothing_by_itself() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity, retain=["files"])
        await world.run_started()
        await world.request(**TWO)
        await world.run_started()
        await world.decommission(identity)

        assert await _left(world, identity) == []

    run_virtual(main())
