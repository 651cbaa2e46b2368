"""What every InfrastructureEngine promises; the same suite for each."""

import asyncio
from dataclasses import replace

import pytest

from shared.infrastructure import run
from shared.infrastructure.errors import (
    Overtaken,
    PlanMoved,
    RunUnknown,
    StepFailed,
    StepsLeft,
)
from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import Change, Finished, InfrastructureEngine
from shared.kernel.errors import Invalid, PlanRefused
from shared.kernel.fence import Fence
from shared.kernel.observation import Absent, Present
from tests.infrastructure.installations import FENCE, LAST, LATER, STACK, Installation, inputs


async def provision(
    engine: InfrastructureEngine, wanted: EnvironmentInputs, fence: Fence = FENCE
) -> Finished:
    preview = await engine.preview(STACK, wanted)
    return await run.update(engine, STACK, wanted, preview.plan_hash, fence)


async def test_a_preview_of_a_new_stack_creates_everything_and_changes_nothing(
    installation: Installation,
) -> None:
    engine = installation.open()

    preview = await engine.preview(STACK, inputs("data"))

    assert [(each.name, each.change) for each in preview.changes] == [
        ("test", Change.CREATE), ("data-data", Change.CREATE), ("site", Change.CREATE),
    ]  # fmt: skip
    assert preview.monthly_cost is not None
    assert preview.monthly_cost.basis
    assert await engine.read(STACK) == Absent()
    assert installation.names() == set()


async def test_equal_previews_have_equal_plan_hashes(installation: Installation) -> None:
    first = await installation.open().preview(STACK, inputs("data"))
    second = await installation.open().preview(STACK, inputs("data"))
    other = await installation.open().preview(STACK, inputs("logs"))

    assert first == second
    assert other.plan_hash != first.plan_hash


async def test_after_an_update_the_next_preview_is_empty(installation: Installation) -> None:
    engine = installation.open()

    finished = await provision(engine, inputs("data", "logs"))

    assert installation.names() == {"site", "data-data", "data-logs"}
    assert "${" not in str(finished.outputs)
    assert finished.outputs["computeTargets"][0]["endpoint"].startswith("http://")
    assert set(finished.outputs["facts"]) == {"data.data.path", "data.logs.path"}
    assert (await engine.preview(STACK, inputs("data", "logs"))).is_empty


async def test_a_resource_is_given_the_outputs_of_those_it_refers_to(
    installation: Installation,
) -> None:
    engine = installation.open()

    finished = await provision(engine, inputs("data"))

    reading = await engine.read(STACK)
    assert isinstance(reading, Present)
    (site,) = (each for each in reading.value.resources if each.name == "site")
    assert site.properties["volumes"] == {"data": finished.outputs["facts"]["data.data.path"]}


async def test_an_update_changes_only_what_differs(installation: Installation) -> None:
    engine = installation.open()
    await provision(engine, inputs("data", "logs"))

    preview = await engine.preview(STACK, inputs("data", "cache"))

    assert [(step.name, step.verb) for step in preview.steps] == [
        ("data-cache", Change.CREATE), ("site", Change.UPDATE), ("data-logs", Change.DELETE),
    ]  # fmt: skip
    (site,) = (each for each in preview.changes if each.name == "site")
    assert site.paths == ("volumes.cache", "volumes.logs")
    await provision(engine, inputs("data", "cache"), LATER)
    assert installation.names() == {"site", "data-data", "data-cache"}
    assert (await engine.preview(STACK, inputs("data", "cache"))).is_empty


async def test_another_trace_alone_changes_nothing_and_is_not_recorded(
    installation: Installation,
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))

    traced = inputs("data", trace_id="trace-2")

    assert (await engine.preview(STACK, traced)).is_empty
    await provision(engine, replace(traced, tags={"cost": "7"}), LATER)
    reading = await engine.read(STACK)
    assert isinstance(reading, Present)
    traces = {
        each.properties["tags"]["trace_id"] for each in reading.value.resources if each.properties
    }
    assert traces == {"trace-1"}


async def test_a_plan_is_refused_once_the_stack_has_moved(installation: Installation) -> None:
    engine = installation.open()
    old = await engine.preview(STACK, inputs("data"))
    await provision(engine, inputs("logs"))

    with pytest.raises(PlanMoved):
        await engine.begin_update(STACK, inputs("data"), old.plan_hash, LATER)

    assert installation.names() == {"site", "data-logs"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"stage": "staging"}, "/stage"), ({"region": "westeurope"}, "/region")],
    ids=["stage", "region"],
)
async def test_what_is_fixed_once_provisioned_is_refused_by_the_plan(
    installation: Installation, change: dict[str, str], pointer: str
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))

    preview = await engine.preview(STACK, inputs("data", **change))

    assert [(each.code, each.target) for each in preview.refusals] == [("FixedInput", pointer)]
    with pytest.raises(PlanRefused) as refused:
        await engine.begin_update(STACK, inputs("data", **change), preview.plan_hash, LATER)
    assert refused.value.details == preview.refusals


async def test_a_plan_that_would_delete_something_protected_is_refused(
    installation: Installation,
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data", protected="data"))

    preview = await engine.preview(STACK, inputs())

    assert [each.code for each in preview.refusals] == ["ProtectedDelete"]


async def test_inputs_that_describe_no_environment_are_refused_whole(
    installation: Installation,
) -> None:
    with pytest.raises(Invalid) as refused:
        await installation.open().preview(
            STACK, inputs("data", stage="qa", isolation_model="none", compute_targets=())
        )

    assert [(each.code, each.target) for each in refused.value.details] == [
        ("UnknownValue", "/stage"),
        ("UnknownValue", "/isolationModel"),
        ("ComputeTargetMissing", "/computeTargets"),
        ("UnknownValue", "/dataResources/0/kind"),
    ]


async def test_beginning_stepping_and_finishing_twice_change_nothing_more(
    installation: Installation,
) -> None:
    engine = installation.open()
    wanted = inputs("data")
    plan = (await engine.preview(STACK, wanted)).plan_hash

    begun = await engine.begin_update(STACK, wanted, plan, FENCE)
    assert await engine.begin_update(STACK, wanted, plan, FENCE) == begun
    for step in begun.steps:
        outcome = await engine.run_step(STACK, step, FENCE)
        assert await engine.run_step(STACK, step, FENCE) == outcome
    finished = await engine.finish(STACK, begun.id, FENCE)
    before = await engine.read(STACK)
    assert await engine.finish(STACK, begun.id, FENCE) == finished
    assert (await engine.begin_update(STACK, wanted, plan, FENCE)).is_finished

    assert await engine.read(STACK) == before


async def test_a_run_goes_on_in_another_process(installation: Installation) -> None:
    wanted = inputs("data")
    engine = installation.open()
    plan = (await engine.preview(STACK, wanted)).plan_hash
    begun = await engine.begin_update(STACK, wanted, plan, FENCE)
    await engine.run_step(STACK, begun.steps[0], FENCE)

    finished = await run.update(installation.open(), STACK, wanted, plan, FENCE)

    assert finished.outputs["computeTargets"]
    assert (await installation.open().preview(STACK, wanted)).is_empty


async def test_two_that_do_the_same_run_at_once_end_as_one(installation: Installation) -> None:
    wanted = inputs("data")
    plan = (await installation.open().preview(STACK, wanted)).plan_hash

    both = await asyncio.gather(
        *(run.update(installation.open(), STACK, wanted, plan, FENCE) for _ in range(2))
    )

    assert both[0] == both[1]
    assert (await installation.open().preview(STACK, wanted)).is_empty
    assert installation.names() == {"site", "data-data"}


async def test_steps_run_in_order_and_belong_to_the_current_run(
    installation: Installation,
) -> None:
    engine = installation.open()
    plan = (await engine.preview(STACK, inputs("data"))).plan_hash
    begun = await engine.begin_update(STACK, inputs("data"), plan, FENCE)

    with pytest.raises(StepsLeft):
        await engine.run_step(STACK, begun.steps[-1], FENCE)
    with pytest.raises(StepsLeft):
        await engine.finish(STACK, begun.id, FENCE)
    with pytest.raises(RunUnknown):
        await engine.run_step(STACK, replace(begun.steps[0], run="another"), FENCE)
    with pytest.raises(RunUnknown):
        await engine.finish(STACK, "another", FENCE)

    assert installation.names() == set()


async def test_a_stale_fence_changes_nothing(installation: Installation) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"), LATER)
    preview = await engine.preview(STACK, inputs())
    begun = await engine.begin_update(STACK, inputs(), preview.plan_hash, LATER)
    before = await engine.read(STACK)

    with pytest.raises(Overtaken):
        await engine.begin_update(STACK, inputs(), preview.plan_hash, FENCE)
    with pytest.raises(Overtaken):
        await engine.run_step(STACK, begun.steps[0], FENCE)
    with pytest.raises(Overtaken):
        await engine.finish(STACK, begun.id, FENCE)
    with pytest.raises(Overtaken):
        await engine.begin_destroy(STACK, FENCE)
    with pytest.raises(Overtaken):
        await engine.refresh(STACK, FENCE)

    assert await engine.read(STACK) == before
    assert installation.names() == {"site", "data-data"}


async def test_a_destroyed_stack_still_refuses_the_writers_before_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))
    await run.destroy(engine, STACK, LATER)
    preview = await engine.preview(STACK, inputs("data"))

    with pytest.raises(Overtaken):
        await engine.begin_update(STACK, inputs("data"), preview.plan_hash, FENCE)


async def test_a_failed_update_names_what_is_left_and_the_next_plan_does_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    wanted = inputs("data")
    installation.refuse_site(refused=True)

    with pytest.raises(StepFailed) as failed:
        await provision(engine, wanted)
    assert failed.value.left == ("site",)
    assert failed.value.details[0].code == "Conflict"
    assert installation.names() == {"data-data"}

    installation.refuse_site(refused=False)
    preview = await engine.preview(STACK, wanted)
    assert [step.name for step in preview.steps] == ["site"]
    await run.update(engine, STACK, wanted, preview.plan_hash, LATER)
    assert (await engine.preview(STACK, wanted)).is_empty


async def test_what_a_failed_create_may_have_left_behind_is_deleted_by_a_plan_without_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    installation.refuse_site(refused=True)
    with pytest.raises(StepFailed):
        await provision(engine, inputs("data"))
    installation.refuse_site(refused=False)

    await run.destroy(engine, STACK, LATER)

    assert installation.names() == set()
    assert await engine.read(STACK) == Absent()


async def test_a_cancelled_update_stops_between_steps_and_can_be_planned_again(
    installation: Installation,
) -> None:
    engine = installation.open()
    wanted = inputs("data")
    plan = (await engine.preview(STACK, wanted)).plan_hash
    done: list[str] = []

    with pytest.raises(run.Cancelled):
        await run.update(
            engine, STACK, wanted, plan, FENCE,
            on_progress=lambda outcome: done.append(outcome.step.name),
            is_cancelled=lambda: len(done) == 2,
        )  # fmt: skip
    assert done == ["test", "data-data"]
    assert installation.names() == {"data-data"}

    await provision(engine, wanted, LATER)
    assert installation.names() == {"site", "data-data"}


async def test_a_destroy_deletes_everything_in_reverse_order(installation: Installation) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))
    gone: list[str] = []

    finished = await run.destroy(
        engine, STACK, LATER, on_progress=lambda outcome: gone.append(outcome.step.name)
    )

    assert gone == ["site", "data-data", "test"]
    assert finished == Finished({}, ())
    assert installation.names() == set()
    assert await engine.read(STACK) == Absent()


async def test_what_is_retained_stays_with_what_it_needs_and_comes_back_into_use(
    installation: Installation,
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data", "logs"))

    finished = await run.destroy(engine, STACK, LATER, retain=["data"])

    assert {(each.name, each.code) for each in finished.left} == {
        ("data-data", "Retained"), ("test", "HeldBy"),
    }  # fmt: skip
    assert installation.names() == {"data-data"}
    await provision(engine, inputs("data"), LAST)
    assert installation.names() == {"site", "data-data"}


async def test_what_is_protected_is_destroyed_only_when_asked(installation: Installation) -> None:
    engine = installation.open()
    await provision(engine, inputs("data", protected="data"))

    finished = await run.destroy(engine, STACK, LATER)
    assert ("data-data", "Protected") in {(each.name, each.code) for each in finished.left}
    assert installation.names() == {"data-data"}

    assert (await run.destroy(engine, STACK, LAST, unprotect=True)).left == ()
    assert await engine.read(STACK) == Absent()


async def test_a_destroy_goes_on_past_what_is_refused_and_a_retry_ends_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))
    installation.refuse_site(refused=True)

    finished = await run.destroy(engine, STACK, LATER)

    assert [(each.name, each.code) for each in finished.left] == [
        ("site", "Conflict"), ("data-data", "HeldBy"), ("test", "HeldBy"),
    ]  # fmt: skip
    assert installation.names() == {"site", "data-data"}
    installation.refuse_site(refused=False)
    assert (await run.destroy(engine, STACK, LAST)).left == ()
    assert await engine.read(STACK) == Absent()


async def test_a_refresh_of_an_untouched_stack_finds_nothing(installation: Installation) -> None:
    engine = installation.open()
    await provision(engine, inputs("data"))
    before = await engine.read(STACK)

    refreshed = await engine.refresh(STACK, FENCE)

    assert (refreshed.changed, refreshed.absent, refreshed.unknown) == ((), (), ())
    assert await engine.read(STACK) == before
