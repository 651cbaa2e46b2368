"""A repeat gets the first answer, whatever has changed since."""

import pytest

from function_apps.environments.errors import PlanChanged
from function_apps.environments.use_cases.plan_environment import plan_request
from function_apps.environments.use_cases.provision_environment import provision_environment
from local_cloud.infrastructure.state import StackState
from shared.infrastructure.port import StackName
from tests.environments.driven import a_request, environments
from tests.kit.virtual_time import run_virtual


def test_the_same_idempotency_key_after_the_approved_plan_was_applied_gets_the_first_answer() -> (
    None
):
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        ctx = world.bench.ctx(marker="idem/1", fingerprint="f")
        first = await provision_environment(a_request(planId=plan.plan_id), ctx, world.app)
        await world.run_started()
        again = await provision_environment(a_request(planId=plan.plan_id), ctx, world.app)

        assert again.is_repeat
        assert again.value == first.value

    run_virtual(main())


def test_the_same_request_without_a_key_gets_the_active_environment_whatever_its_plan() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        await world.request(planId=plan.plan_id)
        await world.run_started()

        assert await world.request(planId=plan.plan_id)

    run_virtual(main())


def test_an_approved_plan_that_changed_before_the_work_starts_is_not_applied() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        identity = await world.request(planId=plan.plan_id)
        stored = await world.environment(identity)
        assert stored.approved_plan == plan.plan_id
        stack = StackName(identity)
        world.world.states[stack] = StackState(stack, version=7)
        outcomes = await world.run_started()
        failed = await world.environment(identity)

        assert outcomes == ["Failed"]
        assert failed.reason is not None
        assert failed.reason.code == PlanChanged.code

    run_virtual(main())


@pytest.mark.parametrize("field", ["tags", "dataResources"])
def test_an_update_with_the_plan_of_other_content_is_refused(field: str) -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        identity = await world.request()
        await world.run_started()
        changed = {"tags": {"a": "b"}, "dataResources": [], "deleteData": ["files"]}
        request = {field: changed[field], "deleteData": changed["deleteData"]}
        with pytest.raises(PlanChanged):
            await world.update(identity, **request, planId=plan.plan_id)

    run_virtual(main())
