"""A step that comes again after its operation has ended is answered only where it ended it."""

from typing import Any

import pytest

from function_apps.environments.activities.update_stack import begin_apply, complete_apply
from shared.durable.activity import perform
from tests.environments.driven import Environments, environments, stop_at
from tests.kit.virtual_time import run_virtual


async def _again(world: Environments, activity: Any, operation_id: str, identity: str) -> Any:
    request = {
        "input": None, "operation": operation_id, "tenant": "acme", "aggregate": identity,
        "ordinal": 1, "attempt": 2,
    }  # fmt: skip
    return await perform(activity, request, world.app)


def test_the_step_that_ended_it_gets_its_recorded_answer() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        operation_id = (await world.environment(identity)).operation_id

        answer = await _again(world, complete_apply, operation_id, identity)
        assert answer == {"result": None}

    run_virtual(main())


def test_an_earlier_step_is_refused() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        operation_id = (await world.environment(identity)).operation_id

        answer = await _again(world, begin_apply, operation_id, identity)
        assert answer["refused"]["code"] == "OperationAlreadyEnded"

    run_virtual(main())


def test_a_recorded_step_of_a_superseded_operation_is_refused() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        update = await world.update(identity, tags={"a": "b"})
        with pytest.raises(KeyboardInterrupt):
            await world.run_started(interfere=stop_at("plan_update"))
        await world.decommission(identity)

        answer = await _again(world, begin_apply, update.value["operationId"], identity)
        assert answer["refused"]["code"] == "OperationSuperseded"

    run_virtual(main())
