"""Killed before or after any write, a run that is started again ends as if never disturbed."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from shared.infrastructure.graph import Node
from shared.infrastructure.memory import World, nothing
from shared.infrastructure.port import (
    DestroyPlan,
    RunId,
    RunStatus,
    RunSucceeded,
    StackPlan,
    UpdatePlan,
)
from shared.infrastructure.state import StackState
from shared.infrastructure.step_engine import StepEngine
from shared.kernel.clock import LoopClock
from shared.kernel.fence import Fence
from tests.infrastructure.graphs import engine_for, node
from tests.infrastructure.installations import FENCE, LATER, STACK, inputs
from tests.kit.stack_runs import LOOK_S, end_of, failed, run_to_end
from tests.kit.virtual_time import run_virtual

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


@dataclass(frozen=True)
class Job:
    """A run of a scenario, for whichever engine is there to do it."""

    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    run_id: RunId
    plan: StackPlan
    fence: Fence

    def engine(self, world: World) -> StepEngine:
        return engine_for(world, *self.nodes, outputs=dict(self.outputs))

    async def end(self, world: World) -> RunStatus:
        """Start the run, as if nobody had before, and return how it ended."""
        return await run_to_end(self.engine(world), self.run_id, self.plan, self.fence)


async def update_job(
    world: World, nodes: tuple[Node, ...], output: str, name: str, fence: Fence
) -> Job:
    outputs = {"vault": output}
    preview = await engine_for(world, *nodes, outputs=outputs).preview(STACK, inputs())
    plan = UpdatePlan(inputs(), preview.plan_hash)
    return Job(nodes, outputs, RunId(STACK, name), plan, fence)


async def provision(world: World) -> Job:
    return await update_job(world, BEFORE, "<-vault.id", "op-1", FENCE)


async def change(world: World) -> Job:
    await (await provision(world)).end(world)
    return await update_job(world, AFTER, "<-vault.print", "op-2", LATER)


async def destroy(world: World) -> Job:
    await (await provision(world)).end(world)
    return Job((), {}, RunId(STACK, "op-2"), DestroyPlan(), LATER)


Scenario = Callable[[World], Awaitable[Job]]


async def run_until_killed(world: World, job: Job, point: int) -> None:
    """Do the run until its process dies at *point*; the dead write nothing more."""
    passed: list[str] = []

    def around(name: str) -> None:
        passed.append(name)
        if len(passed) > point:
            raise Killed

    world.around_write = around
    with suppress(Killed):
        await job.engine(world).start(job.run_id, job.plan, job.fence)
        while len(passed) <= point:
            await LoopClock().sleep(LOOK_S)
    world.around_write = nothing


def essence(world: World) -> tuple[object, ...]:
    """Return what must be equal: all but how often was saved."""
    return world.resources, replace(world.states.get(STACK, StackState(STACK)), version=0)


async def writes_of(scenario: Scenario) -> tuple[World, RunStatus, int]:
    """Return the world after *scenario*, how its run ended, and at how many points it can die."""
    world = World()
    job = await scenario(world)
    before = len(world.writes)
    end = await job.end(world)
    return world, end, 2 * (len(world.writes) - before)


@pytest.mark.parametrize("scenario", [provision, change, destroy])
def test_a_run_killed_at_any_write_ends_the_same_when_it_is_started_again(
    scenario: Scenario,
) -> None:
    async def sweep() -> None:
        undisturbed, end, points = await writes_of(scenario)
        assert points > 20

        for point in range(points):
            world = World()
            job = await scenario(world)
            await run_until_killed(world, job, point)

            assert await job.end(world) == end, point
            assert essence(world) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_run_killed_twice_ends_the_same() -> None:
    async def sweep() -> None:
        undisturbed, end, _ = await writes_of(change)

        for point in range(2, 20, 3):
            world = World()
            job = await change(world)
            await run_until_killed(world, job, point)
            await run_until_killed(world, job, 1)

            assert await job.end(world) == end, point
            assert essence(world) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_look_alone_resumes_a_run_whose_start_was_recorded() -> None:
    async def sweep() -> None:
        undisturbed, end, points = await writes_of(change)

        for point in range(1, points):
            world = World()
            job = await change(world)
            await run_until_killed(world, job, point)

            assert await end_of(job.engine(world), job.run_id) == end, point
            assert essence(world) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_canceled_run_killed_at_any_write_ends_canceled_and_is_not_done_further() -> None:
    async def sweep() -> None:
        _, _, points = await writes_of(change)

        for point in range(2, points - 2):
            world = World()
            job = await change(world)
            await run_until_killed(world, job, point)
            made = set(world.resources)

            engine = job.engine(world)
            await engine.cancel(job.run_id, job.fence)

            assert failed(await end_of(engine, job.run_id)).code == "Canceled", point
            assert set(world.resources) == made, point

    run_virtual(sweep())


def test_after_a_kill_another_plan_leaves_no_orphan() -> None:
    async def sweep() -> None:
        for point in range(8):
            world = World()
            await run_until_killed(world, await provision(world), point)

            job = Job((), {}, RunId(STACK, "op-2"), DestroyPlan(), LATER)

            assert await job.end(world) == RunSucceeded({}, ()), point
            assert world.resources == {}, point

    run_virtual(sweep())


def test_a_resource_in_doubt_that_cannot_be_read_is_not_touched() -> None:
    async def scenario() -> None:
        world = World()
        job = await update_job(world, (node("vault"),), "<-vault.id", "op-1", FENCE)
        await run_until_killed(world, job, 3)  # the step is open, the provider was not called
        world.unreadable = {"vault"}

        end = failed(await job.end(world))

        assert end.code == "Unavailable"
        assert [each.name for each in end.left] == ["vault"]
        assert not [each for each in world.writes if not each.startswith("save")]

    run_virtual(scenario())


async def test_a_refresh_forgets_what_is_gone_and_keeps_what_does_not_answer() -> None:
    world = World()
    await (await provision(world)).end(world)
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
    assert {each.name: each.action.value for each in preview.changes} == {
        "network": "update", "vault": "same", "cluster": "same", "old": "create",
    }  # fmt: skip
