"""Release, roll-outs, rotation and rollback of one module in every order: what runs is whole."""

import pytest

from tests.deployments.crossing_cases import (
    SEED,
    Case,
    cases_of_a_run,
    cross,
    go_forward_and_back,
    some_cases,
)
from tests.deployments.places import MemoryPlace
from tests.kit.virtual_time import run_virtual


async def place_in_memory() -> MemoryPlace:
    place = MemoryPlace()
    await place.world.tell()
    return place


async def crossed(case: Case, seed: int) -> None:
    with case.named(seed):
        await cross(await place_in_memory(), case, seed=seed)


def test_in_some_orders_one_whole_release_is_in_force_whenever_it_is_quiet() -> None:
    for case in some_cases(SEED)[:4]:
        run_virtual(crossed(case, SEED))


@pytest.mark.long(minutes=1)
def test_in_many_orders_one_whole_release_is_in_force_whenever_it_is_quiet() -> None:
    for case in cases_of_a_run(24):
        run_virtual(crossed(case, SEED))


def test_a_release_goes_forward_and_back_with_its_configuration_and_secrets() -> None:
    async def main() -> None:
        await go_forward_and_back(await place_in_memory())

    run_virtual(main())
