"""A start that fails ends early, and says what the instance says."""

import pytest

from shared.contracts.deployments import DeploymentStatus
from tests.deployments.driven import driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.virtual_time import run_virtual


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(2, "exit status 2"), (-9, "ended by SIGKILL"), (127, "exit status 127")],
)
def test_an_instance_that_ends_again_and_again_is_not_waited_for(
    exit_code: int, words: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.world.behaviours[await world.upload("two")] = Behaviour(exit_code=exit_code)
        began = world.ctx.now()

        done = await world.release("two")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "StartFailed"
        assert words in done.reason.message
        assert world.ctx.now() - began < world.app.rules.ready_within
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


@pytest.mark.parametrize("behaviour", [Behaviour(exit_code=1), Behaviour(becomes_ready=False)])
def test_the_reason_has_the_last_lines_of_the_instance(behaviour: Behaviour) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = behaviour

        done = await world.release("one")

        assert done.reason is not None
        assert "its last lines:" in done.reason.message
        assert "module-shop-1-0" in done.reason.message

    run_virtual(main())
