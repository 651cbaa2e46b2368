"""Killed before or after any write, a run that is started again ends as if never disturbed."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from local_cloud.infrastructure.state import StackState
from local_cloud.infrastructure.step_engine import StepEngine
from shared.infrastructure.graph import Node
from shared.infrastructure.port import (
    DestroyPlan,
    RunId,
    RunStatus,
    RunSucceeded,
    StackPlan,
    UpdatePlan,
)
from shared.kernel.fence import Fence
from tests.infrastructure.graphs import engine_for, node
from tests.infrastructure.installations import FENCE, LATER, STACK, inputs
from tests.kit.memory_engine import MemoryCloud, nothing
from tests.kit.stack_runs import LOOK_S, end_of, failed, run_to_end
from tests.kit.virtual_time import LoopClock, run_virtual

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

    def engine(self, cloud: MemoryCloud) -> StepEngine:
        return engine_for(cloud, *self.nodes, outputs=dict(self.outputs))

    async def end(self, cloud: MemoryCloud) -> RunStatus:
        """Start the run, as if nobody had before, and return how it ended."""
        return await run_to_end(self.engine(cloud), self.run_id, self.plan, self.fence)


async def update_job(
    cloud: MemoryCloud, nodes: tuple[Node, ...], output: str, name: str, fence: Fence
) -> Job:
    outputs = {"vault": output}
    preview = await engine_for(cloud, *nodes, outputs=outputs).preview(STACK, inputs())
    plan = UpdatePlan(inputs(), preview.plan_hash)
    return Job(nodes, outputs, RunId(STACK, name), plan, fence)


async def provision(cloud: MemoryCloud) -> Job:
    return await update_job(cloud, BEFORE, "<-vault.id", "op-1", FENCE)


async def change(cloud: MemoryCloud) -> Job:
    await (await provision(cloud)).end(cloud)
    return await update_job(cloud, AFTER, "<-vault.print", "op-2", LATER)


async def destroy(cloud: MemoryCloud) -> Job:
    await (await provision(cloud)).end(cloud)
    return Job((), {}, RunId(STACK, "op-2"), DestroyPlan(), LATER)


Scenario = Callable[[MemoryCloud], Awaitable[Job]]


async def run_until_killed(cloud: MemoryCloud, job: Job, point: int) -> None:
    """Do the run until its process dies at *point*; the dead write nothing more."""
    passed: list[str] = []

    def around(name: str) -> None:
        passed.append(name)
        if len(passed) > point:
            raise Killed

    cloud.around_write = around
    with suppress(Killed):
        await job.engine(cloud).start(job.run_id, job.plan, job.fence)
        while len(passed) <= point:
            await LoopClock().sleep(LOOK_S)
    cloud.around_write = nothing


def essence(cloud: MemoryCloud) -> tuple[object, ...]:
    """Return what must be equal: all but how often was saved."""
    return cloud.resources, replace(cloud.states.get(STACK, StackState(STACK)), version=0)


async def writes_of(scenario: Scenario) -> tuple[MemoryCloud, RunStatus, int]:
    """Return the cloud after *scenario*, how its run ended, and at how many points it can die."""
    cloud = MemoryCloud()
    job = await scenario(cloud)
    before = len(cloud.writes)
    end = await job.end(cloud)
    return cloud, end, 2 * (len(cloud.writes) - before)


@pytest.mark.parametrize("scenario", [provision, change, destroy])
def test_a_run_killed_at_any_write_ends_the_same_when_it_is_started_again(
    scenario: Scenario,
) -> None:
    async def sweep() -> None:
        undisturbed, end, points = await writes_of(scenario)
        assert points > 20

        for point in range(points):
            cloud = MemoryCloud()
            job = await scenario(cloud)
            await run_until_killed(cloud, job, point)

            assert await job.end(cloud) == end, point
            assert essence(cloud) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_run_killed_twice_ends_the_same() -> None:
    async def sweep() -> None:
        undisturbed, end, _ = await writes_of(change)

        for point in range(2, 20, 3):
            cloud = MemoryCloud()
            job = await change(cloud)
            await run_until_killed(cloud, job, point)
            await run_until_killed(cloud, job, 1)

            assert await job.end(cloud) == end, point
            assert essence(cloud) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_look_alone_resumes_a_run_whose_start_was_recorded() -> None:
    async def sweep() -> None:
        undisturbed, end, points = await writes_of(change)

        for point in range(1, points):
            cloud = MemoryCloud()
            job = await change(cloud)
            await run_until_killed(cloud, job, point)

            assert await end_of(job.engine(cloud), job.run_id) == end, point
            assert essence(cloud) == essence(undisturbed), point

    run_virtual(sweep())


def test_a_canceled_run_killed_at_any_write_ends_canceled_and_is_not_done_further() -> None:
    async def sweep() -> None:
        _, _, points = await writes_of(change)

        for point in range(2, points - 2):
            cloud = MemoryCloud()
            job = await change(cloud)
            await run_until_killed(cloud, job, point)
            made = set(cloud.resources)

            engine = job.engine(cloud)
            await engine.cancel(job.run_id, job.fence)

            assert failed(await end_of(engine, job.run_id)).code == "Canceled", point
            assert set(cloud.resources) == made, point

    run_virtual(sweep())


def test_after_a_kill_another_plan_leaves_no_orphan() -> None:
    async def sweep() -> None:
        for point in range(8):
            cloud = MemoryCloud()
            await run_until_killed(cloud, await provision(cloud), point)

            job = Job((), {}, RunId(STACK, "op-2"), DestroyPlan(), LATER)

            end = await job.end(cloud)

            assert isinstance(end, RunSucceeded), point
            assert (end.outputs, end.left) == ({}, ()), point
            assert cloud.resources == {}, point

    run_virtual(sweep())


def test_a_resource_in_doubt_that_cannot_be_read_is_not_touched() -> None:
    async def scenario() -> None:
        cloud = MemoryCloud()
        job = await update_job(cloud, (node("vault"),), "<-vault.id", "op-1", FENCE)
        await run_until_killed(cloud, job, 3)  # the step is open, the provider was not called
        cloud.unreadable = {"vault"}

        end = failed(await job.end(cloud))

        assert end.code == "Unavailable"
        assert [each.name for each in end.left] == ["vault"]
        assert not [each for each in cloud.writes if not each.startswith("save")]

    run_virtual(scenario())


async def test_a_refresh_forgets_what_is_gone_and_keeps_what_does_not_answer() -> None:
    cloud = MemoryCloud()
    await (await provision(cloud)).end(cloud)
    urns = {each.name: each.urn for each in cloud.resources.values()}
    del cloud.resources[urns["old"]]
    cloud.unreadable = {"vault"}
    changed: Node = AFTER[0]
    cloud.resources[urns["network"]] = replace(
        cloud.resources[urns["network"]], properties=changed.properties
    )

    refreshed = await engine_for(cloud).refresh(STACK, FENCE)

    assert refreshed.absent == (urns["old"],)
    assert refreshed.unknown == (urns["vault"],)
    assert refreshed.changed == (urns["network"],)
    preview = await engine_for(cloud, *BEFORE).preview(STACK, inputs())
    assert {each.name: each.action.value for each in preview.changes} == {
        "network": "update", "vault": "same", "cluster": "same", "old": "create",
    }  # fmt: skip
