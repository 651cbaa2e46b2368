"""From a request to a usable environment, and what a repeat, a refusal and a failure leave."""

import pytest

from function_apps.environments.errors import (
    EnvironmentExists,
    NotOffered,
    PlanMoved,
    TransitionRefused,
)
from function_apps.environments.use_cases import dossier, planning, requests
from shared.contracts.environments import DecommissionEnvironment
from shared.kernel.errors import Refused
from tests.environments.driven import Environments, a_request, environments
from tests.kit.service import CAUSE, SCOPE
from tests.kit.virtual_time import run_virtual


async def _provision(world: Environments, **changes: object) -> str:
    outcome = await requests.provision_environment(
        a_request(**changes), scope=SCOPE, cause=CAUSE, app=world.app
    )
    return str(outcome.result["environment"]["environmentId"])


def test_a_request_ends_provisioned_with_outputs_and_tells_everyone() -> None:
    async def main() -> None:
        world = environments()
        identity = await _provision(world)
        outcomes = await world.run_started()
        environment = await dossier.load(identity, scope=SCOPE, app=world.app)

        assert outcomes == ["Applied"]
        assert environment.status == "Provisioned"
        assert environment.targets[0].endpoint
        assert environment.outputs["data.files.path"]
        assert world.bench.sent.types() == [
            "RuntimeEnvironmentStatusChanged",
            "RuntimeEnvironmentStatusChanged",
            "RuntimeEnvironmentStatusChanged",
            "RuntimeEnvironmentProvisioned",
        ]
        revisions = [each["payload"]["revision"] for each in world.bench.sent.bodies()]
        assert revisions == sorted(set(revisions))

    run_virtual(main())


def test_the_same_request_again_gets_the_first_result_and_starts_nothing() -> None:
    async def main() -> None:
        world = environments()
        first = await _provision(world)
        started = list(world.bench.nudges.started)

        assert await _provision(world) == first
        assert world.bench.nudges.started == started

    run_virtual(main())


def test_other_content_under_an_active_name_is_refused_field_by_field() -> None:
    async def main() -> None:
        world = environments()
        await _provision(world)
        with pytest.raises(EnvironmentExists) as refused:
            await _provision(world, region="northeurope", tags={"a": "b"})

        assert [each.target for each in refused.value.details] == ["/region", "/tags"]

    run_virtual(main())


def test_a_failed_apply_says_what_is_there_and_the_next_request_goes_on() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        identity = await _provision(world)
        assert await world.run_started() == ["Failed"]
        failed = await dossier.load(identity, scope=SCOPE, app=world.app)
        world.world.refusing.clear()
        await _provision(world)
        assert await world.run_started() == ["Applied"]
        provisioned = await dossier.load(identity, scope=SCOPE, app=world.app)

        assert failed.status == "Failed"
        assert failed.reason is not None
        assert "port taken" in failed.reason.message
        assert any("data-files" in urn for urn in failed.remaining)
        assert provisioned.status == "Provisioned"

    run_virtual(main())


def test_a_plan_changes_nothing() -> None:
    async def main() -> None:
        world = environments()
        plan = await planning.plan_request(a_request(), scope=SCOPE, cause=CAUSE, app=world.app)

        assert {each.action for each in plan.resources} == {"create"}
        assert world.world.writes == []
        assert world.bench.sent.messages == []

    run_virtual(main())


def test_an_approved_plan_that_moved_is_stale() -> None:
    async def main() -> None:
        world = environments()
        plan = await planning.plan_request(a_request(), scope=SCOPE, cause=CAUSE, app=world.app)
        with pytest.raises(PlanMoved):
            await _provision(world, planId=plan.plan_id, tags={"changed": "since"})
        await _provision(world, planId=plan.plan_id)

        assert await world.run_started() == ["Applied"]

    run_virtual(main())


def test_a_time_to_live_is_refused_rather_than_ignored() -> None:
    async def main() -> None:
        with pytest.raises(NotOffered) as refused:
            await _provision(environments(), ttl="PT1H")

        assert refused.value.target == "/ttl"

    run_virtual(main())


def test_a_request_while_it_is_being_decommissioned_is_refused() -> None:
    async def main() -> None:
        world = environments()
        identity = await _provision(world)
        await world.run_started()
        await _decommission(world, identity)
        with pytest.raises(TransitionRefused):
            await _provision(world, tags={"other": "content"}, stage="test")

    run_virtual(main())


async def _decommission(world: Environments, identity: str) -> None:
    command = DecommissionEnvironment(environment_id=identity)
    await requests.decommission_environment(command, scope=SCOPE, cause=CAUSE, app=world.app)
