"""Taking an environment down: drained first, last resource first, and what stays is said."""

import asyncio

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


def test_a_protected_environment_needs_its_name() -> None:
    async def main() -> None:
        world, identity = await _provisioned(protected=True)
        with pytest.raises(ConfirmationMissing):
            await world.decommission(identity)
        await world.decommission(identity, confirm="shop")

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
