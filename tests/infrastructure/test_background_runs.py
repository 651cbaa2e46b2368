"""A run is done by a task of the engine: outages, defects, cancellation, and what a kill leaves."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_cloud.infrastructure.folder_states import FolderStates
from local_cloud.infrastructure.run_worker import STEP_ATTEMPTS
from local_cloud.infrastructure.step_engine import StepEngine
from shared.infrastructure.graph import Graph
from shared.infrastructure.port import RunId, RunInProgress, RunSucceeded, UpdatePlan
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Unknown
from tests.infrastructure.graphs import Given, engine_for, node
from tests.infrastructure.installations import FENCE, LATER, STACK, inputs
from tests.kit.memory_engine import MemoryCloud
from tests.kit.stack_runs import end_of, failed, update
from tests.kit.virtual_time import LoopClock, run_virtual

RUN = RunId(STACK, "op-1-update")
NODES = (node("a"), node("b", link="<-a.id"), node("c", link="<-b.id"))


async def planned(engine: StepEngine) -> UpdatePlan:
    return UpdatePlan(inputs(), (await engine.preview(STACK, inputs())).plan_hash)


async def started(cloud: MemoryCloud) -> StepEngine:
    engine = engine_for(cloud, *NODES)
    await engine.start(RUN, await planned(engine), FENCE)
    return engine


def test_a_step_is_tried_again_while_its_provider_is_away_and_the_progress_says_so() -> None:
    async def scenario() -> None:
        cloud = MemoryCloud(refusing={"b": Unavailable("b is away")})
        engine = await started(cloud)

        await LoopClock().sleep(5)
        status = await engine.observe(RUN)
        cloud.refusing = {}

        assert isinstance(status, RunInProgress)
        assert status.steps_done == 1
        assert "b is away; attempt 3 of 6 failed" in status.trouble
        assert isinstance(await end_of(engine, RUN), RunSucceeded)

    run_virtual(scenario())


def test_an_outage_that_outlasts_the_attempts_ends_the_run_and_the_next_goes_on_from_there() -> (
    None
):
    async def scenario() -> None:
        cloud = MemoryCloud(refusing={"b": Unavailable("b is away")})
        engine = await started(cloud)
        begun_s = LoopClock().monotonic_s()

        end = failed(await end_of(engine, RUN))

        assert (end.code, [each.name for each in end.left]) == ("Unavailable", ["b", "c"])
        assert LoopClock().monotonic_s() - begun_s == pytest.approx(2 ** (STEP_ATTEMPTS - 1), abs=2)
        cloud.refusing = {}
        await update(engine, STACK, inputs(), LATER)
        assert [each for each in cloud.writes if each.startswith("create")] == [
            "create a", "create b", "create c",
        ]  # fmt: skip

    run_virtual(scenario())


def test_a_defect_of_a_provider_ends_the_run_and_keeps_its_text_from_callers() -> None:
    async def scenario() -> None:
        cloud = MemoryCloud(refusing={"b": ZeroDivisionError("internal detail")})
        engine = await started(cloud)

        end = failed(await end_of(engine, RUN))

        assert (end.code, end.message) == ("StepDefect", "b: ZeroDivisionError")

    run_virtual(scenario())


def test_a_cancel_during_a_step_lets_the_step_end_and_begins_no_other() -> None:
    async def scenario() -> None:
        cloud = MemoryCloud(refusing={"b": Unavailable("b is away")})
        engine = await started(cloud)
        await LoopClock().sleep(0.5)

        await engine.cancel(RUN, FENCE)
        cloud.refusing = {}
        end = failed(await end_of(engine, RUN))

        assert end.code == "Canceled"
        assert {each.name for each in cloud.resources.values()} == {"a"}
        assert [(each.name, each.code) for each in end.left] == [
            ("b", "NotReached"), ("c", "NotReached"),
        ]  # fmt: skip

    run_virtual(scenario())


def test_a_run_whose_fence_is_stale_stops_and_writes_nothing() -> None:
    async def scenario() -> None:
        cloud = MemoryCloud(refusing={"b": Unavailable("b is away")})
        engine = await started(cloud)
        await LoopClock().sleep(0.5)
        cloud.states[STACK] = replace(cloud.states[STACK], token=LATER.token)
        cloud.refusing = {}
        written = list(cloud.writes)

        await LoopClock().sleep(60)

        assert cloud.writes == written
        assert isinstance(await engine.observe(RUN), RunInProgress)

    run_virtual(scenario())


def test_a_run_whose_record_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / STACK).mkdir()
        (tmp_path / STACK / "000000001.json").write_text("{")
        engine = StepEngine(Given(Graph((), {})), FolderStates(tmp_path), {}, LoopClock())

        assert isinstance(await engine.observe(RUN), Unknown)

    run_virtual(scenario())
