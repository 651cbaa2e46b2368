"""What every InfrastructureEngine promises of a run as a job; the same suite for each."""

import asyncio

import pytest

from shared.infrastructure.errors import PlanChanged, StackBusy
from shared.infrastructure.port import (
    DestroyPlan,
    InfrastructureEngine,
    RunFailed,
    RunId,
    RunInProgress,
    RunSucceeded,
    UpdatePlan,
)
from shared.kernel.errors import PlanRefused
from shared.kernel.fence import Fence, StaleFence
from shared.kernel.observation import Absent, Unknown
from tests.infrastructure.installations import FENCE, LAST, LATER, STACK, Installation, inputs
from tests.kit.stack_runs import destroy, end_of, failed, run_to_end, update

RUN = RunId(STACK, "op-1-update")


async def planned(engine: InfrastructureEngine, *volumes: str, **changed: object) -> UpdatePlan:
    wanted = inputs(*volumes, **changed)
    return UpdatePlan(wanted, (await engine.preview(STACK, wanted)).plan_hash)


async def test_a_started_update_is_in_progress_and_ends_with_the_stacks_outputs(
    installation: Installation,
) -> None:
    engine = installation.open()
    may_go_on = installation.delay_site()

    await engine.start(RUN, await planned(engine, "data"), FENCE)
    begun = await engine.observe(RUN)
    may_go_on.set()
    end = await end_of(engine, RUN)

    assert isinstance(begun, RunInProgress)
    assert begun.steps_total == 3
    assert begun.steps_done < 3
    assert "create" in begun.current_step
    assert isinstance(end, RunSucceeded)
    assert set(end.outputs["facts"]) == {"data.data.path"}
    assert installation.names() == {"site", "data-data"}


async def test_a_run_that_was_started_before_is_not_done_again(installation: Installation) -> None:
    engine = installation.open()
    plan = await planned(engine, "data")
    end = await run_to_end(engine, RUN, plan, FENCE)
    before = await engine.read(STACK)

    await engine.start(RUN, plan, FENCE)

    assert await engine.observe(RUN) == end
    assert await engine.read(STACK) == before


async def test_a_run_is_resumed_by_a_look_from_another_process(installation: Installation) -> None:
    engine = installation.open()
    await engine.start(RUN, await planned(engine, "data"), FENCE)

    end = await end_of(installation.open(), RUN)

    assert isinstance(end, RunSucceeded)
    assert await end_of(engine, RUN) == end
    assert (await engine.preview(STACK, inputs("data"))).is_empty


async def test_two_that_start_the_same_run_at_once_see_one_end(installation: Installation) -> None:
    plan = await planned(installation.open(), "data")

    ends = await asyncio.gather(
        *(run_to_end(installation.open(), RUN, plan, FENCE) for _ in range(2))
    )

    assert isinstance(ends[0], RunSucceeded)
    assert ends[0] == ends[1]
    assert installation.names() == {"site", "data-data"}


async def test_a_run_that_nobody_started_is_unknown(installation: Installation) -> None:
    engine = installation.open()

    assert isinstance(await engine.observe(RUN), Unknown)


async def test_a_run_that_is_canceled_before_its_start_arrives_begins_nothing(
    installation: Installation,
) -> None:
    engine = installation.open()
    plan = await planned(engine, "data")
    await engine.cancel(RUN, FENCE)
    await engine.start(RUN, plan, FENCE)
    end = await engine.observe(RUN)

    assert isinstance(end, RunFailed)
    assert end.code == "RunNotStarted"
    assert isinstance(await engine.read(STACK), Absent)


async def test_a_cancel_raises_the_fence_also_where_the_run_is_unknown(
    installation: Installation,
) -> None:
    engine = installation.open()
    plan = await planned(engine, "data")
    await engine.cancel(RUN, LATER)

    with pytest.raises(StaleFence):
        await engine.start(RunId(STACK, "another"), plan, FENCE)


async def test_an_update_is_not_started_once_the_stack_has_changed(
    installation: Installation,
) -> None:
    engine = installation.open()
    old = await planned(engine, "data")
    await update(engine, STACK, inputs("logs"), FENCE)

    with pytest.raises(PlanChanged):
        await engine.start(RUN, old, LATER)

    assert isinstance(await engine.observe(RUN), Unknown)
    assert installation.names() == {"site", "data-logs"}


async def test_an_update_whose_plan_has_refusals_is_not_started(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)

    with pytest.raises(PlanRefused) as refused:
        await engine.start(RUN, await planned(engine, "data", stage="staging"), LATER)

    assert [each.code for each in refused.value.details] == ["FixedInput"]


async def test_a_stale_fence_starts_and_cancels_nothing(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), LATER)
    plan = await planned(engine)

    with pytest.raises(StaleFence):
        await engine.start(RUN, plan, FENCE)
    with pytest.raises(StaleFence):
        await engine.start(RUN, DestroyPlan(), FENCE)
    with pytest.raises(StaleFence):
        await engine.cancel(RunId(STACK, LATER.operation), FENCE)

    assert installation.names() == {"site", "data-data"}


async def test_a_newer_fence_ends_the_run_it_finds_and_an_equal_one_is_refused(
    installation: Installation,
) -> None:
    engine = installation.open()
    may_go_on = installation.delay_site()
    await engine.start(RUN, await planned(engine, "data"), FENCE)
    other = RunId(STACK, "op-2-destroy")

    with pytest.raises(StackBusy):
        await engine.start(other, DestroyPlan(), FENCE)
    await engine.start(other, DestroyPlan(), LATER)
    may_go_on.set()
    end = await end_of(engine, other)

    assert isinstance(end, RunSucceeded)
    assert (end.outputs, end.left) == ({}, ())
    assert failed(await engine.observe(RUN)).code == "RunSuperseded"
    assert installation.names() == set()


async def test_a_refresh_under_a_newer_fence_ends_the_run_it_finds(
    installation: Installation,
) -> None:
    engine = installation.open()
    may_go_on = installation.delay_site()
    await engine.start(RUN, await planned(engine, "data"), FENCE)

    await engine.refresh(STACK, LATER)
    may_go_on.set()

    assert failed(await end_of(engine, RUN)).code == "RunSuperseded"


async def test_a_canceled_run_keeps_what_it_did_and_names_what_is_left(
    installation: Installation,
) -> None:
    engine = installation.open()
    may_go_on = installation.delay_site()
    await engine.start(RUN, await planned(engine, "data"), FENCE)

    await engine.cancel(RUN, FENCE)
    may_go_on.set()
    end = failed(await end_of(engine, RUN))

    assert end.code == "Canceled"
    assert installation.names() | {each.name for each in end.left} >= {"site", "data-data"}
    await update(engine, STACK, inputs("data"), LATER)
    assert installation.names() == {"site", "data-data"}


async def test_a_cancel_under_a_newer_fence_ends_the_run_as_well(
    installation: Installation,
) -> None:
    engine = installation.open()
    may_go_on = installation.delay_site()
    await engine.start(RUN, await planned(engine, "data"), FENCE)

    await engine.cancel(RUN, LATER)
    may_go_on.set()

    assert failed(await end_of(engine, RUN)).code == "Canceled"


async def test_a_cancel_after_the_end_changes_nothing(installation: Installation) -> None:
    engine = installation.open()
    end = await run_to_end(engine, RUN, await planned(engine, "data"), FENCE)

    await engine.cancel(RUN, FENCE)

    assert await engine.observe(RUN) == end


async def test_a_refused_step_ends_the_update_and_names_what_is_left(
    installation: Installation,
) -> None:
    engine = installation.open()
    installation.refuse_site(refused=True)

    end = failed(await run_to_end(engine, RUN, await planned(engine, "data"), FENCE))

    assert end.code == "StepFailed"
    assert "the site is locked (Conflict)" in end.message
    assert [(each.name, each.code) for each in end.left] == [("site", "Conflict")]
    assert installation.names() == {"data-data"}
    installation.refuse_site(refused=False)
    await update(engine, STACK, inputs("data"), LATER)
    assert installation.names() == {"site", "data-data"}


async def test_a_destroy_ends_with_what_was_retained_as_left(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data", "logs"), FENCE)

    end = await destroy(engine, STACK, LATER, DestroyPlan(retain=("data",)))

    assert {(each.name, each.code) for each in end.left} == {
        ("data-data", "Retained"), ("test", "HeldBy"),
    }  # fmt: skip
    assert (await destroy(engine, STACK, LAST)).left == ()
    assert await engine.read(STACK) == Absent()


async def test_how_earlier_runs_ended_is_kept(installation: Installation) -> None:
    engine = installation.open()
    fences = [Fence(token, f"op-{token}", "update") for token in range(1, 4)]
    ends = [await update(engine, STACK, inputs(f"v{each.token}"), each) for each in fences]

    observed = [await engine.observe(RunId(STACK, each.operation)) for each in fences]

    assert observed == ends
    assert not any(isinstance(each, RunFailed) for each in ends)
