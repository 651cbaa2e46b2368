"""Release, roll-outs and rollback of one module in every order: what runs is whole and known."""

from itertools import permutations

import pytest

from function_apps.deployments.use_cases.configuration_content import read_merge
from shared.contracts.configuration_merge import hash_of
from shared.kernel.errors import Conflict
from tests.deployments.driven import SHOP, Driven
from tests.deployments.test_configuration_roll_outs import (
    FLOATING,
    Told,
    given_json,
    ready,
    roll_outs,
)
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

ACTIONS = ("release", "publish 2", "publish 3", "roll back")
REFUSED = ("NotRollbackable", "NotInForce")
"""Codes of a rollback of what another deployment has replaced, or of the first release."""


async def act(action: str, world: Driven, told: Told) -> None:
    match action.split():
        case ["release"]:
            await world.deploy(await world.component("two", **FLOATING))
        case ["publish", number]:
            await told.publish("module", int(number), {"a": int(number)}, times=2)
        case _:
            by = (await world.target()).module(SHOP).by
            assert by is not None
            try:
                await world.rollback(by)
            except Conflict as refused:
                if refused.code not in REFUSED:
                    raise


async def assert_whole(world: Driven) -> None:
    """Hold what runs to what is in force: one revision, its image, its configuration, its proof."""
    target = await world.target()
    state = target.module(SHOP)
    assert target.queue == ()
    assert state.by is not None
    holder = await world.deployment(state.by)
    component = holder.candidate(SHOP)
    assert component is not None
    assert world.live() == ({state.revision: 1}, {state.revision: 100})
    pin = component.configuration
    values = await read_merge(pin, TENANT, world.app)
    assert given_json(world, state.revision) == values == {"a": pin.module}
    spec = world.world.component(world.surface_component(SHOP)).revisions[state.revision].spec
    assert (spec.artifact, spec.unit["configurationHash"]) == (component.digest, hash_of(values))


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("is_hasty", [True, False], ids=["at-once", "one-by-one"])
def test_in_every_order_one_whole_release_is_in_force_at_the_end(
    first: str,
    is_hasty: bool,  # noqa: FBT001
) -> None:
    async def main(order: tuple[str, ...]) -> None:
        world, told = await ready()
        for action in order:
            await act(action, world, told)
            if not is_hasty:
                await told.settle()
                await assert_whole(world)
        await told.settle()
        await assert_whole(world)
        if order[-1] == "publish 3":
            # Nothing went back after it.
            state = (await world.target()).module(SHOP)
            assert given_json(world, state.revision) == {"a": 3}, await roll_outs(world)

    for rest in permutations([each for each in ACTIONS if each != first]):
        run_virtual(main((first, *rest)))
