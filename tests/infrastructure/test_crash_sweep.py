"""Killed before or after any write, a run that is asked for again ends as if never disturbed."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

import pytest

from shared.infrastructure import run
from shared.infrastructure.graph import Node
from shared.infrastructure.memory import World, nothing
from shared.infrastructure.state import StackState
from shared.kernel.errors import Unavailable
from tests.infrastructure.graphs import engine_for, node
from tests.infrastructure.installations import FENCE, LATER, STACK, inputs

BEFORE = (
    node("network", size=1),
    node("vault", link="<-network.id", replace_on=["kind"], kind="a"),
    node("cluster", link="<-vault.print"),
    node("old", link="<-network.id"),
)
AFTER = (
    node("network", size=2),
    node("vault", link="<-network.id", replace_on=["kind"], kind="b"),
    node("cluster", link="<-vault.print"),
    node("new", link="<-cluster.id"),
)


class Killed(BaseException):
    """The process is gone: nothing in it may catch this."""


async def provision(world: World) -> None:
    engine = engine_for(world, *BEFORE, outputs={"vault": "<-vault.id"})
    plan = await engine.preview(STACK, inputs())
    await run.update(engine, STACK, inputs(), plan.plan_hash, FENCE)


async def change(world: World) -> None:
    engine = engine_for(world, *AFTER, outputs={"vault": "<-vault.print"})
    begun = world.states[STACK].run
    if begun is not None and not begun.is_finished:
        plan_hash = begun.id  # the operation remembers what it was to do
    else:
        plan_hash = (await engine.preview(STACK, inputs())).plan_hash
    await run.update(engine, STACK, inputs(), plan_hash, LATER)


async def destroy(world: World) -> None:
    await run.destroy(engine_for(world), STACK, LATER)


def kill_at(world: World, point: int) -> None:
    passed = count()

    def around(_name: str) -> None:
        if next(passed) == point:
            raise Killed

    world.around_write = around


def essence(world: World) -> tuple[object, ...]:
    """Return what must be equal: all but how often was saved and the run's own id."""
    state = world.states.get(STACK, StackState(STACK))
    ended = state.run is not None and state.run.is_finished
    plain = replace(state, version=0, run=None)
    return world.resources, plain, ended, state.run.left if state.run else ()


async def ready(scenario: Callable[[World], Awaitable[None]]) -> World:
    world = World()
    if scenario is not provision:
        await provision(world)
    return world


@pytest.mark.parametrize("scenario", [provision, change, destroy])
async def test_a_kill_at_any_write_changes_nothing_about_the_end(
    scenario: Callable[[World], Awaitable[None]],
) -> None:
    undisturbed = await ready(scenario)
    points = count()

    def note(_name: str) -> None:
        next(points)

    undisturbed.around_write = note
    await scenario(undisturbed)
    total = next(points)
    assert total > 20

    for point in range(total):
        world = await ready(scenario)
        kill_at(world, point)
        with pytest.raises(Killed):
            await scenario(world)
        world.around_write = nothing

        await scenario(world)

        assert essence(world) == essence(undisturbed), point


async def test_two_kills_in_a_row_change_nothing_about_the_end() -> None:
    undisturbed = await ready(change)
    await change(undisturbed)

    for point in range(2, 20, 3):
        world = await ready(change)
        for later in (point, 1):
            kill_at(world, later)
            with pytest.raises(Killed):
                await change(world)
        world.around_write = nothing

        await change(world)

        assert essence(world) == essence(undisturbed), point


async def test_after_a_kill_another_plan_leaves_no_orphan() -> None:
    for point in range(8):
        world = World()
        kill_at(world, point)
        with pytest.raises(Killed):
            await provision(world)
        world.around_write = nothing

        await destroy(world)

        assert world.resources == {}, point


async def test_a_resource_in_doubt_that_cannot_be_read_is_not_touched() -> None:
    world = World()
    engine = engine_for(world, node("a"))
    plan = await engine.preview(STACK, inputs())
    kill_at(world, 3)  # after the save that opens the step, before the provider is called
    with pytest.raises(Killed):
        await run.update(engine, STACK, inputs(), plan.plan_hash, FENCE)
    world.around_write = nothing
    written = list(world.writes)
    world.unreadable = {"a"}

    with pytest.raises(Unavailable):
        await run.update(engine, STACK, inputs(), plan.plan_hash, FENCE)

    assert world.writes == written
    assert world.resources == {}


async def test_a_refresh_forgets_what_is_gone_and_keeps_what_does_not_answer() -> None:
    world = World()
    await provision(world)
    urns = {each.name: each.urn for each in world.resources.values()}
    del world.resources[urns["old"]]
    world.unreadable = {"vault"}
    changed: Node = AFTER[0]
    world.resources[urns["network"]] = replace(
        world.resources[urns["network"]], properties=changed.properties
    )

    refreshed = await engine_for(world).refresh(STACK, FENCE)

    assert refreshed.absent == (urns["old"],)
    assert refreshed.unknown == (urns["vault"],)
    assert refreshed.changed == (urns["network"],)
    preview = await engine_for(world, *BEFORE).preview(STACK, inputs())
    assert {each.name: each.change.value for each in preview.changes} == {
        "network": "update", "vault": "same", "cluster": "same", "old": "create",
    }  # fmt: skip
