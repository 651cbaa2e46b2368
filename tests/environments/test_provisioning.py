"""From a request to a usable environment, and what a repeat, a refusal and a failure leave."""

import pytest

from function_apps.environments.errors import (
    EnvironmentExists,
    NotSupported,
    PlanChanged,
)
from function_apps.environments.use_cases.plan_environment import plan_request
from shared.kernel.errors import Refused
from shared.kernel.transitions import TransitionRefused
from tests.environments.driven import a_request, environments
from tests.kit.virtual_time import run_virtual


def test_a_request_ends_provisioned_with_outputs_and_tells_everyone() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        outcomes = await world.run_started()
        environment = await world.environment(identity)

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
        first = await world.request()
        started = list(world.bench.starts.started)

        assert await world.request() == first
        assert world.bench.starts.started == started

    run_virtual(main())


def test_other_content_under_an_active_name_is_refused_field_by_field() -> None:
    async def main() -> None:
        world = environments()
        await world.request()
        with pytest.raises(EnvironmentExists) as refused:
            await world.request(region="northeurope", tags={"a": "b"})

        assert [each.target for each in refused.value.details] == ["/region", "/tags"]

    run_virtual(main())


def test_a_failed_apply_names_what_is_not_as_planned_and_the_next_request_goes_on() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        identity = await world.request()
        assert await world.run_started() == ["Failed"]
        failed = await world.environment(identity)
        world.world.refusing.clear()
        await world.request()
        assert await world.run_started() == ["Applied"]
        provisioned = await world.environment(identity)

        assert failed.status == "Failed"
        assert failed.reason is not None
        assert "port taken" in failed.reason.message
        assert [urn.rpartition("::")[2] for urn in failed.remaining] == ["site"]
        assert provisioned.status == "Provisioned"

    run_virtual(main())


def test_a_plan_changes_nothing() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)

        assert {each.action for each in plan.resources} == {"create"}
        assert world.world.writes == []
        assert world.bench.sent.messages == []

    run_virtual(main())


def test_an_approved_plan_that_moved_is_stale() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        with pytest.raises(PlanChanged):
            await world.request(planId=plan.plan_id, tags={"changed": "since"})
        await world.request(planId=plan.plan_id)

        assert await world.run_started() == ["Applied"]

    run_virtual(main())


def test_a_time_to_live_is_refused_rather_than_ignored() -> None:
    async def main() -> None:
        with pytest.raises(NotSupported) as refused:
            await environments().request(ttl="PT1H")

        assert refused.value.target == "/ttl"

    run_virtual(main())


def test_a_request_while_it_is_being_decommissioned_is_refused() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        await world.decommission(identity)
        with pytest.raises(TransitionRefused):
            await world.request(tags={"other": "content"}, stage="test")

    run_virtual(main())
