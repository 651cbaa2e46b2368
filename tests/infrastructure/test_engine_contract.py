"""What every InfrastructureEngine promises of plans and their effect; the same suite for each."""

from dataclasses import replace

import pytest

from shared.infrastructure.port import DestroyPlan, RunId, RunSucceeded, UpdatePlan
from shared.kernel.errors import Invalid, PlanRefused
from shared.kernel.fence import StaleFence
from shared.kernel.observation import Absent, Present
from tests.infrastructure.installations import FENCE, LAST, LATER, STACK, Installation, inputs
from tests.kit.stack_runs import destroy, failed, run_to_end, update


async def test_a_preview_of_a_new_stack_creates_everything_and_changes_nothing(
    installation: Installation,
) -> None:
    engine = installation.open()

    preview = await engine.preview(STACK, inputs("data"))

    assert [(each.name, each.action) for each in preview.changes] == [
        ("test", "create"), ("data-data", "create"), ("site", "create"),
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

    finished = await update(engine, STACK, inputs("data", "logs"), FENCE)

    assert installation.names() == {"site", "data-data", "data-logs"}
    assert "${" not in str(finished.outputs)
    assert finished.outputs["computeTargets"][0]["endpoint"].startswith("http://")
    assert set(finished.outputs["facts"]) == {"data.data.path", "data.logs.path"}
    assert (await engine.preview(STACK, inputs("data", "logs"))).is_empty


async def test_a_resource_is_given_the_outputs_of_those_it_refers_to(
    installation: Installation,
) -> None:
    engine = installation.open()

    finished = await update(engine, STACK, inputs("data"), FENCE)

    reading = await engine.read(STACK)
    assert isinstance(reading, Present)
    (site,) = (each for each in reading.value.resources if each.name == "site")
    assert site.properties["volumes"] == {"data": finished.outputs["facts"]["data.data.path"]}


async def test_an_update_changes_only_what_differs(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data", "logs"), FENCE)

    preview = await engine.preview(STACK, inputs("data", "cache"))

    assert {(each.name, each.action) for each in preview.changes} == {
        ("test", "same"), ("data-data", "same"),
        ("data-cache", "create"), ("site", "update"), ("data-logs", "delete"),
    }  # fmt: skip
    (site,) = (each for each in preview.changes if each.name == "site")
    assert site.paths == ("volumes.cache", "volumes.logs")
    await update(engine, STACK, inputs("data", "cache"), LATER)
    assert installation.names() == {"site", "data-data", "data-cache"}
    assert (await engine.preview(STACK, inputs("data", "cache"))).is_empty


async def test_another_trace_alone_changes_nothing_and_is_not_recorded(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)

    traced = inputs("data", trace_id="trace-2")

    assert (await engine.preview(STACK, traced)).is_empty
    await update(engine, STACK, replace(traced, tags={"cost": "7"}), LATER)
    reading = await engine.read(STACK)
    assert isinstance(reading, Present)
    traces = {
        each.properties["tags"]["trace_id"] for each in reading.value.resources if each.properties
    }
    assert traces == {"trace-1"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"stage": "staging"}, "/stage"), ({"region": "westeurope"}, "/region")],
    ids=["stage", "region"],
)
async def test_what_is_fixed_once_provisioned_is_refused_by_the_plan(
    installation: Installation, change: dict[str, str], pointer: str
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)

    preview = await engine.preview(STACK, inputs("data", **change))

    assert [(each.code, each.target) for each in preview.refusals] == [("FixedInput", pointer)]
    with pytest.raises(PlanRefused) as refused:
        await engine.start(
            RunId(STACK, "op-2"), UpdatePlan(inputs("data", **change), preview.plan_hash), LATER
        )
    assert refused.value.details == preview.refusals


async def test_a_plan_that_would_delete_something_protected_is_refused(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data", protected="data"), FENCE)

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
    assert "/stage: not a known value (expected dev | " in refused.value.message
    assert "/computeTargets: workloads need somewhere to run" in refused.value.message


async def test_a_destroyed_stack_still_refuses_the_writers_before_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)
    await destroy(engine, STACK, LATER)
    preview = await engine.preview(STACK, inputs("data"))

    with pytest.raises(StaleFence):
        await engine.start(
            RunId(STACK, "op-1-again"), UpdatePlan(inputs("data"), preview.plan_hash), FENCE
        )
    with pytest.raises(StaleFence):
        await engine.refresh(STACK, FENCE)


async def test_what_a_failed_create_may_have_left_behind_is_deleted_by_a_plan_without_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    installation.refuse_site(refused=True)
    preview = await engine.preview(STACK, inputs("data"))
    plan = UpdatePlan(inputs("data"), preview.plan_hash)
    failed(await run_to_end(engine, RunId(STACK, "op-1"), plan, FENCE))
    installation.refuse_site(refused=False)

    await destroy(engine, STACK, LATER)

    assert installation.names() == set()
    assert await engine.read(STACK) == Absent()


async def test_a_destroy_deletes_everything(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)

    finished = await destroy(engine, STACK, LATER)

    assert isinstance(finished, RunSucceeded)
    assert (finished.outputs, finished.left) == ({}, ())
    assert [step.split()[:2] for step in finished.steps] == [
        ["delete", "site"], ["delete", "data-data"], ["delete", "test"],
    ]  # fmt: skip
    assert installation.names() == set()
    assert await engine.read(STACK) == Absent()


async def test_what_is_retained_stays_with_what_it_needs_and_comes_back_into_use(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data", "logs"), FENCE)

    finished = await destroy(engine, STACK, LATER, DestroyPlan(retain=("data",)))

    assert {(each.name, each.code) for each in finished.left} == {
        ("data-data", "Retained"), ("test", "HeldBy"),
    }  # fmt: skip
    assert installation.names() == {"data-data"}
    await update(engine, STACK, inputs("data"), LAST)
    assert installation.names() == {"site", "data-data"}


async def test_what_is_protected_is_destroyed_only_when_asked(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data", protected="data"), FENCE)

    finished = await destroy(engine, STACK, LATER)
    assert ("data-data", "Protected") in {(each.name, each.code) for each in finished.left}
    assert installation.names() == {"data-data"}

    assert (await destroy(engine, STACK, LAST, DestroyPlan(unprotect=True))).left == ()
    assert await engine.read(STACK) == Absent()


async def test_a_destroy_goes_on_past_what_is_refused_and_a_retry_ends_it(
    installation: Installation,
) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)
    installation.refuse_site(refused=True)

    finished = await destroy(engine, STACK, LATER)

    assert [(each.name, each.code) for each in finished.left] == [
        ("site", "Conflict"), ("data-data", "HeldBy"), ("test", "HeldBy"),
    ]  # fmt: skip
    assert installation.names() == {"site", "data-data"}
    installation.refuse_site(refused=False)
    assert (await destroy(engine, STACK, LAST)).left == ()
    assert await engine.read(STACK) == Absent()


async def test_a_refresh_of_an_untouched_stack_finds_nothing(installation: Installation) -> None:
    engine = installation.open()
    await update(engine, STACK, inputs("data"), FENCE)
    before = await engine.read(STACK)

    refreshed = await engine.refresh(STACK, FENCE)

    assert (refreshed.changed, refreshed.absent, refreshed.unknown) == ((), (), ())
    assert await engine.read(STACK) == before
