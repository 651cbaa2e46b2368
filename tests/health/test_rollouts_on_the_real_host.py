"""A/A and A/B through the whole system: real host, broker and Durable engine, on virtual time."""

import pytest

from tests.kit.memory_cluster import Behaviour
from tests.kit.parameters import unless_whole
from tests.kit.releases import deploy, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

EQUAL = Behaviour(latency_ms=40.0, spread=0.5, error_ratio=0.002)


async def rollouts(count: int, worse: Behaviour | None = None) -> list[str]:
    """Bring out a release and then *count* more over it; return how those ended."""
    world, found = World(requests_per_s=10.0), []
    await world.boot()
    environment = await provisioned(world)
    for number in range(count + 1):
        digest = await uploaded(world, str(number))
        is_first = number == 0
        world.surface.behaviours[digest] = EQUAL if is_first or worse is None else worse
        deployment = await ended(world, await deploy(world, environment, str(number)))
        found.append(deployment["status"])
    await world.stop()
    assert found[0] == "Completed"
    return found[1:]


@pytest.mark.long
def test_rollouts_of_equal_releases_all_complete() -> None:
    assert set(run_virtual(rollouts(3))) == {"Completed"}


@pytest.mark.long(minutes=1)
def test_many_rollouts_of_equal_releases_all_complete() -> None:
    assert set(run_virtual(rollouts(unless_whole(5) or 50))) == {"Completed"}


@pytest.mark.long
@pytest.mark.parametrize(
    "worse",
    [
        pytest.param(Behaviour(latency_ms=80.0, spread=0.5), id="twice-as-slow"),
        pytest.param(Behaviour(latency_ms=40.0, error_ratio=0.05), id="five-percent-errors"),
    ],
)
def test_worse_releases_are_all_turned_back(worse: Behaviour) -> None:
    assert set(run_virtual(rollouts(2, worse))) == {"RolledBack"}
