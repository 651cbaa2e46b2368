"""Wholeness: at every quiet moment all instances of a module run one release with one set of
versions, whatever releases, rotations, configurations, rollbacks and crashes crossed before.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest
from hypothesis import strategies as st

from tests.deployments.crossings import LOST_S, Crossing
from tests.deployments.places import SECRETS, MemoryPlace
from tests.kit.parameters import unless_whole
from tests.kit.properties import try_with
from tests.kit.virtual_time import run_virtual


async def _deploy_two(crossing: Crossing, _name: str) -> None:
    await crossing.deploy("two")


async def _deploy_three(crossing: Crossing, _name: str) -> None:
    await crossing.deploy("three")


async def _publish(crossing: Crossing, _name: str) -> None:
    await crossing.publish()


async def _roll_back(crossing: Crossing, _name: str) -> None:
    await crossing.roll_back()


async def _be_sick(crossing: Crossing, _name: str) -> None:
    """Let each gate fail, until it is well again."""
    for content in ("program-1", "two", "three"):
        crossing.world.health.bad.add(await crossing.world.upload(content))


async def _be_well(crossing: Crossing, _name: str) -> None:
    crossing.world.health.bad.clear()


async def _come_twice(crossing: Crossing, _name: str) -> None:
    crossing.times = 2


async def _kill(crossing: Crossing, _name: str) -> None:
    """Lose every orchestration, in the middle of its activities; go on from what is stored."""
    await crossing.world.drop_running()
    await crossing.world.app.service.clock.sleep(LOST_S)
    await crossing.recover()


Step = Callable[[Crossing, str], Awaitable[None]]
STEPS: Mapping[str, Step] = {
    "deploy-two": _deploy_two,
    "deploy-three": _deploy_three,
    "rotate": Crossing.rotate,
    "rotate-late": Crossing.rotate_late,
    "end-rotation": Crossing.end_rotation,
    "publish": _publish,
    "roll-back": _roll_back,
    "sick": _be_sick,
    "well": _be_well,
    "twice": _come_twice,
    "kill": _kill,
}
CROSSINGS = st.lists(
    st.tuples(
        st.sampled_from(sorted(STEPS)),
        st.sampled_from(sorted(SECRETS)),
        st.sampled_from([0.0, 0.5, 2.0, 8.0, 40.0]),
    ),
    min_size=2,
    max_size=9,
)


def _whole_at_quiet(steps: Sequence[tuple[str, str, float]]) -> None:
    async def main() -> None:
        crossing = Crossing(MemoryPlace())
        await crossing.world.tell()
        await crossing.begin()
        for step, name, seconds in steps:
            await STEPS[step](crossing, name)
            await crossing.run(seconds)
        await crossing.be_quiet()

        await crossing.assert_whole()

    run_virtual(main())


@pytest.mark.parametrize(
    "examples",
    [
        pytest.param(15, id="few"),
        pytest.param(unless_whole(60) or 150, marks=pytest.mark.long, id="many"),
    ],
)
def test_in_the_end_all_instances_run_one_release_with_one_set_of_versions(examples: int) -> None:
    try_with(examples, _whole_at_quiet, CROSSINGS)
