"""The steps of an operation are those of its run; a step that is tried again stays one step."""

import asyncio

from shared.kernel.errors import Unavailable
from tests.environments.driven import environments
from tests.kit.virtual_time import run_virtual


def test_a_step_that_is_tried_again_is_running_and_says_why() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Unavailable("the subnet is being made")
        await world.request()
        instance = world.bench.starts.started[0][1]
        applying = asyncio.ensure_future(world.run_started())
        await world.app.service.clock.sleep(10)
        operation = await world.operation(instance)
        world.world.refusing.clear()
        await applying
        ended = await world.operation(instance)

        assert [step.state for step in operation.steps if "site" in step.name] == ["Running"]
        assert "the subnet is being made" in (operation.steps[-1].detail or "")
        assert {step.state for step in ended.steps} == {"Succeeded"}

    run_virtual(main())
