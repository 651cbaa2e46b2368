"""Taking an environment down: drained first, last resource first, and what stays is said."""

import asyncio

import pytest

from function_apps.environments.errors import ConfirmationMissing
from function_apps.environments.use_cases import dossier, requests, signals
from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.environments import DecommissionEnvironment
from shared.kernel.errors import Refused
from tests.environments.driven import Environments, a_request, environments
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual


async def _provisioned(**changes: object) -> tuple[Environments, str]:
    world = environments()
    outcome = await requests.provision_environment(
        a_request(**changes), scope=SCOPE, cause=CAUSE, app=world.app
    )
    await world.run_started()
    return world, str(outcome.result["environment"]["environmentId"])


async def _leave(world: Environments, identity: str, **how: object) -> None:
    command = DecommissionEnvironment.model_validate({"environmentId": identity, **how})
    await requests.decommission_environment(command, scope=SCOPE, cause=CAUSE, app=world.app)


async def _status(world: Environments, identity: str) -> str:
    return (await dossier.load(identity, scope=SCOPE, app=world.app)).status


def test_it_waits_for_the_drain_then_destroys_the_last_resource_first() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _leave(world, identity)
        leaving = asyncio.ensure_future(world.run_started())
        await world.app.service.clock.sleep(30)
        before = [each for each in world.world.writes if each.startswith("delete")]
        drained = RuntimeEnvironmentDrained(
            aggregate_id="target", revision=1, environment_id=identity, generation=1, removed=0
        )
        await signals.note_environment_drained(drained, scope=SCOPE, cause=CAUSE, app=world.app)
        outcome = await leaving
        deletes = [each for each in world.world.writes if each.startswith("delete")]

        assert before == []
        assert outcome == ["Decommissioned"]
        assert deletes == ["delete site", "delete data-files"]
        assert await _status(world, identity) == "Decommissioned"
        assert world.app.service.clock.monotonic_s() < 60

    run_virtual(main())


def test_without_an_answer_it_goes_on_after_ten_minutes() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _leave(world, identity)
        await world.run_started()

        assert await _status(world, identity) == "Decommissioned"
        assert 600 <= world.app.service.clock.monotonic_s() < 700

    run_virtual(main())


def test_a_protected_environment_needs_its_name() -> None:
    async def main() -> None:
        world, identity = await _provisioned(protected=True)
        with pytest.raises(ConfirmationMissing):
            await _leave(world, identity)
        await _leave(world, identity, confirm="shop")

        assert await _status(world, identity) == "Decommissioning"

    run_virtual(main())


def test_what_is_retained_stays_and_is_named() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _leave(world, identity, retain=["data-files"])
        await world.run_started()
        environment = await dossier.load(identity, scope=SCOPE, app=world.app)

        assert environment.status == "Decommissioned"
        assert any("data-files" in urn for urn in environment.remaining)
        assert "delete data-files" not in world.world.writes

    run_virtual(main())


def test_what_cannot_be_deleted_is_named_and_a_second_try_goes_on() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        world.world.refusing["data-files"] = Refused("in use", code="InUse")
        await _leave(world, identity)
        await world.run_started()
        failed = await dossier.load(identity, scope=SCOPE, app=world.app)
        world.world.refusing.clear()
        await _leave(world, identity)
        await world.run_started()

        assert failed.status == "DecommissionFailed"
        assert any("data-files" in urn for urn in failed.remaining)
        assert await _status(world, identity) == "Decommissioned"

    run_virtual(main())


def test_a_decommissioned_environment_can_be_requested_again_as_a_new_generation() -> None:
    async def main() -> None:
        world, identity = await _provisioned()
        await _leave(world, identity)
        await world.run_started()
        await requests.provision_environment(
            a_request(stage="staging"), scope=SCOPE, cause=CAUSE, app=world.app
        )
        await world.run_started()
        environment = await dossier.load(identity, scope=SCOPE, app=world.app)

        assert (environment.generation, environment.status) == (2, "Provisioned")
        assert environment.stage == "staging"

    run_virtual(main())
