"""A gate waits exactly as long as its deadline says, from seconds to a day, and then decides."""

from datetime import timedelta

import pytest

from function_apps.deployments.model import analysis
from function_apps.deployments.orchestrations.roll_out_release import POLLS_MAX
from shared.contracts.gates import EXTENSION_MAX
from tests.deployments.driven import driven
from tests.kit.parameters import long_but
from tests.kit.virtual_time import run_virtual


@pytest.mark.parametrize(
    ("choice", "status"),
    [pytest.param("pass", "Completed", id="pass"), pytest.param("fail", "RolledBack", id="fail")],
)
@pytest.mark.parametrize("hours", long_but([1], [1, 6, 24]))
def test_nobody_answers_and_the_deadline_decides(hours: int, choice: str, status: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.silent.add(await world.upload("two"))
        strategy = {"steps": [{"weight": 100}]}
        gate = {"deadline": f"PT{hours}H", "onInconclusive": choice}

        asked = await world.deploy(await world.component("two"), gate=gate, strategy=strategy)
        await world.until_ended(asked["deploymentId"], within_s=100 * 3600, every_s=30)

        done = await world.deployment(asked["deploymentId"])
        assert done.status == status
        (step,) = done.steps
        assert step.asked_at is not None
        assert step.ended_at is not None
        late = step.ended_at - step.asked_at - timedelta(hours=hours)
        assert timedelta(0) <= late <= EXTENSION_MAX + timedelta(minutes=1)

    run_virtual(main())


def test_looks_spread_over_the_longest_deadline_are_fewer_than_the_loop_allows() -> None:
    assert analysis.ANALYSIS_POLLS_MAX < POLLS_MAX
