"""Taking an environment down: drained first, last resource first, and what stays is said."""

import asyncio
from typing import Any, Final

import pytest

from function_apps.environments.errors import ConfirmationMissing
from function_apps.environments.use_cases.record_drained import record_drained
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.kernel.errors import Refused
from tests.environments.driven import Environments, environments
from tests.kit.virtual_time import run_virtual


async def _provisioned(**changes: object) -> tuple[Environments, str]:
    world = environments()
    identity = await world.request(**changes)
    await world.run_started()
    return world, identity


def test_it_waits_for_the_drain_then_destroys_the_last_resource_first() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity)
        leaving = asyncio.ensure_future(world.run_started())
        await world.app.service.clock.sleep(30)
        before = [each for each in world.world.writes if each.startswith("delete")]
        drained = RuntimeEnvironmentDrained(
            aggregate_id="target", revision=1, environment_id=identity, generation=1, removed=0
        )
        await record_drained(drained, world.ctx, world.app)
        outcome = await leaving
        deletes = [each for each in world.world.writes if each.startswith("delete")]

        assert before == []
        assert outcome == ["Decommissioned"]
        assert deletes == ["delete site", "delete data-files"]
        assert (await world.environment(identity)).status == "Decommissioned"
        assert world.app.service.clock.monotonic_s() < 60

    run_virtual(main())


def test_without_an_answer_it_goes_on_after_ten_minutes() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity)
        await world.run_started()

        assert (await world.environment(identity)).status == "Decommissioned"
        assert 600 <= world.app.service.clock.monotonic_s() < 700

    run_virtual(main())


KEPT: Final = ["files"]


@pytest.mark.parametrize(
    ("changes", "how", "why"),
    [
        pytest.param({"protected": True}, {"retain": KEPT}, ["is protected"], id="protected"),
        pytest.param({"stage": "prod"}, {"retain": KEPT}, ["is prod"], id="prod"),
        pytest.param({}, {}, ["loses its data files with all content"], id="data"),
        pytest.param(
            {"stage": "prod", "protected": True}, {},
            ["is protected and is prod and loses its data files"], id="all-of-it",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", [None, "ship"], ids=["nothing", "another-name"])
def test_where_something_is_lost_it_needs_its_name_and_says_why(
    said: str | None, changes: dict[str, Any], how: dict[str, Any], why: list[str]
) -> None:
    async def main() -> str:
        world, identity = await _provisioned(**changes)
        with pytest.raises(ConfirmationMissing) as refused:
            await world.decommission(identity, confirm=said, **how)
        await world.decommission(identity, confirm="shop", **how)

        assert (await world.environment(identity)).status == "Decommissioning"
        return refused.value.message

    message = run_virtual(main())

    assert [each for each in why if each not in message] == []
    assert "expected its name shop" in message


def test_the_name_of_another_environment_takes_none_down_also_where_nothing_is_lost() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        with pytest.raises(ConfirmationMissing, match="has another name: expected its name shop"):
            await world.decommission(identity, retain=KEPT, confirm="stock")

        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


@pytest.mark.parametrize(
    ("changes", "how"),
    [({}, {"retain": KEPT}), ({"dataResources": []}, {})],
    ids=["what-is-retained", "without-data"],
)
def test_where_nothing_is_lost_it_needs_no_name(
    changes: dict[str, Any], how: dict[str, Any]
) -> None:
    async def main() -> None:
        world, identity = await _provisioned(**changes)
        await world.decommission(identity, confirm=None, **how)

        assert (await world.environment(identity)).status == "Decommissioning"

    run_virtual(main())


def test_a_repeat_needs_no_name() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity)
        await world.decommission(identity, confirm=None)

        assert (await world.environment(identity)).status == "Decommissioning"

    run_virtual(main())


def test_what_is_retained_stays_and_is_named() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity, retain=["data-files"])
        await world.run_started()
        environment = await world.environment(identity)

        assert environment.status == "Decommissioned"
        assert any("data-files" in urn for urn in environment.remaining)
        assert "delete data-files" not in world.world.writes

    run_virtual(main())


def test_what_cannot_be_deleted_is_named_and_a_second_try_goes_on() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        world.world.refusing["data-files"] = Refused("in use", code="InUse")
        await world.decommission(identity)
        await world.run_started()
        failed = await world.environment(identity)
        world.world.refusing.clear()
        await world.decommission(identity)
        await world.run_started()

        assert failed.status == "DecommissionFailed"
        assert any("data-files" in urn for urn in failed.remaining)
        assert (await world.environment(identity)).status == "Decommissioned"

    run_virtual(main())


def test_a_decommissioned_environment_can_be_requested_again_as_a_new_generation() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await world.decommission(identity)
        await world.run_started()
        await world.request(stage="staging")
        await world.run_started()
        environment = await world.environment(identity)

        assert (environment.generation, environment.status) == (2, "Provisioned")
        assert environment.stage == "staging"

    run_virtual(main())
