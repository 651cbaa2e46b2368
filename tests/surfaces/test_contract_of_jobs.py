"""What a surface promises of workloads that run to their end: once, or at times."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import pytest

from shared.kernel.errors import Invalid
from shared.kernel.fence import StaleFence
from shared.kernel.observation import Absent, Present
from shared.surfaces.aks.kinds import CRON_JOBS
from shared.surfaces.capabilities import Feature
from shared.surfaces.configuration import configuration
from shared.surfaces.errors import RevisionMissing
from shared.surfaces.observed_state import Instance, LiveComponent, Phase
from shared.surfaces.port import Restarts, Schedules
from shared.surfaces.properties import Properties, differences, revision_properties
from shared.surfaces.spec import RevisionSpec, RunOnce, Schedule
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
NEVER = Schedule("0 0 29 2 *", 60)
"""No test lasts until then."""


def job(harness: SurfaceHarness, revision: int = 1, **changes: Any) -> RevisionSpec:
    given = {"runs_once": RunOnce(time_limit_s=120), "drain_s": 0.0, **changes}
    return harness.ending(harness.worker(revision, **given), 0)


def nightly(harness: SurfaceHarness, revision: int, schedule: Schedule = NEVER) -> RevisionSpec:
    return harness.ending(harness.worker(revision, schedule=schedule, drain_s=0.0), 0)


def only(live: LiveComponent) -> Instance:
    (found,) = live.revisions[0].instances
    return found


async def properties(harness: SurfaceHarness) -> Mapping[int, Properties]:
    reading = await harness.surface.properties(SHOP)
    assert isinstance(reading, Present), reading
    return reading.value


def schedules(harness: SurfaceHarness) -> Schedules:
    return cast("Schedules", harness.surface)


async def active(harness: SurfaceHarness) -> set[int]:
    live = await harness.until(lambda _: True)
    return {each.revision for each in live.revisions if each.is_active}


@pytest.mark.sample
@pytest.mark.shows(Feature.JOBS)
def test_a_job_runs_to_its_end_once_and_is_proved_by_what_ran(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        asked = configuration("c0ffee", variables={"LEVEL": "info"}, files={"app.json": "{}"})
        spec = job(harness, configuration=asked)
        await harness.surface.apply(spec, fence(1))
        ended = await harness.until(lambda live: live.revisions[0].phase is Phase.COMPLETE)

        await harness.surface.apply(spec, fence(2))

        after = await harness.until(lambda _: True)
        assert (only(after).id, only(after).started_at) == (only(ended).id, only(ended).started_at)
        assert only(after).is_ready
        assert (after.weights, after.endpoint) == ({}, None)
        proofs = await harness.surface.prove(SHOP)
        assert isinstance(proofs, Present)
        (proof,) = proofs.value
        assert proof.departs == ()
        assert proof.unit == {"configurationHash": "c0ffee"}
        assert isinstance(await harness.surface.traffic(SHOP), Absent)

    run_scenario(scenario)


@pytest.mark.shows(Feature.JOBS)
def test_a_job_that_fails_says_how_and_is_over(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        failing = harness.ending(job(harness), 3)
        await harness.surface.apply(failing, fence(1))
        failed = await harness.until(lambda live: live.revisions[0].phase is Phase.FAILED)

        await harness.surface.apply(failing, fence(2))

        after = await harness.until(lambda _: True)
        assert after.revisions[0].phase is Phase.FAILED
        assert only(after).id == only(failed).id
        assert (only(failed).is_ready, only(failed).last_exit) == (False, "exit status 3")
        assert isinstance(await harness.surface.logs(SHOP, only(failed).id, 5), Present)
        proofs = await harness.surface.prove(SHOP)
        assert isinstance(proofs, Present)
        assert proofs.value == ()

    run_scenario(scenario)


@pytest.mark.shows(Feature.JOBS)
def test_a_job_has_its_time_and_no_more(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        endless = harness.ending(job(harness, runs_once=RunOnce(time_limit_s=3)), None)

        await harness.surface.apply(endless, fence(1))

        failed = await harness.until(lambda live: live.revisions[0].phase is Phase.FAILED)
        assert only(failed).last_exit == "time limit exceeded"

    run_scenario(scenario)


@pytest.mark.shows(Feature.JOBS)
def test_a_job_is_fenced_and_has_no_number(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.surface.apply(job(harness), fence(3))

        with pytest.raises(StaleFence):
            await harness.surface.apply(job(harness, 2), fence(2))
        with pytest.raises(Invalid, match="runs to its end"):
            await harness.surface.scale(SHOP, 1, 2, fence(3))
        with pytest.raises(Invalid, match="runs to its end"):
            await cast("Restarts", harness.surface).restart(SHOP, 1, fence(3))
        await harness.surface.remove(SHOP, 1, fence(3))

        await harness.until_gone()

    run_scenario(scenario)


@pytest.mark.shows(Feature.JOBS, Feature.SCHEDULES)
def test_what_ends_is_as_it_was_applied(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        one = job(harness, runs_once=RunOnce(time_limit_s=90, retries=2))
        two, three = nightly(harness, 2), nightly(harness, 3)
        for spec in (one, two, three):
            await harness.surface.apply(spec, fence(1))
        await schedules(harness).activate_schedule(SHOP, 2, fence(1))

        live = await properties(harness)

        assert differences(revision_properties(one, weight=0), live[1]) == ()
        assert differences(revision_properties(two, weight=0, is_active=True), live[2]) == ()
        assert differences(revision_properties(three, weight=0, is_active=False), live[3]) == ()

    run_scenario(scenario)


@pytest.mark.shows(Feature.SCHEDULES)
def test_one_schedule_of_a_component_is_active(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        for revision in (1, 2):
            await harness.surface.apply(nightly(harness, revision), fence(1))
        none = await active(harness)
        await schedules(harness).activate_schedule(SHOP, 1, fence(1))
        first = await active(harness)

        await schedules(harness).activate_schedule(SHOP, 2, fence(2))
        await harness.surface.apply(nightly(harness, 2), fence(2))

        assert (none, first, await active(harness)) == (set(), {1}, {2})
        with pytest.raises(StaleFence):
            await schedules(harness).activate_schedule(SHOP, 1, fence(1))
        with pytest.raises(RevisionMissing):
            await schedules(harness).activate_schedule(SHOP, 7, fence(2))
        assert await active(harness) == {2}

    run_scenario(scenario)


@pytest.mark.shows(Feature.SCHEDULES)
def test_a_schedule_is_ready_and_proved_before_its_first_run(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.surface.apply(nightly(harness, 1), fence(1))

        live = await harness.until(lambda live: live.revisions[0].phase is Phase.READY)

        assert (live.revisions[0].ready, only(live).reason) == (1, "")
        proofs = await harness.surface.prove(SHOP)
        assert isinstance(proofs, Present)
        assert [proof.holds for proof in proofs.value] == [True]
        inventory = await harness.surface.inventory(ENVIRONMENT)
        assert isinstance(inventory, Present)
        assert [each.component for each in inventory.value.components] == [SHOP]
        await harness.surface.remove(SHOP, 1, fence(1))
        await harness.until_gone()

    run_scenario(scenario)


@pytest.mark.shows(Feature.JOBS, on="aks")
def test_the_last_lines_of_a_failed_pod_stay(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        harness.surface = await harness.restart_host()  # its reads come from watches
        endless = harness.ending(job(harness, runs_once=RunOnce(time_limit_s=3)), None)
        for spec in (harness.ending(job(harness, 2), 3), endless):
            await harness.surface.apply(spec, fence(1))

        live = await harness.until(
            lambda live: [each.phase for each in live.revisions] == [Phase.FAILED] * 2
        )

        told = {}
        for revision in live.revisions:
            (found,) = revision.instances
            lines = await harness.surface.logs(SHOP, found.id, 5)
            assert isinstance(lines, Present)
            told[revision.revision] = (found.reason, lines.value)
        assert told == {
            1: ("DeadlineExceeded", ("it runs without end",)),
            2: ("Exited", ("it ends with 3",)),
        }

    run_scenario(scenario)


@pytest.mark.shows(Feature.SCHEDULES, on="aks")
def test_what_others_changed_of_a_schedule_is_seen(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = nightly(harness, 1)
        await harness.surface.apply(spec, fence(1))

        cluster = cast("AksHarness", harness)
        changed = {
            "schedule": "*/5 * * * *",
            "suspend": False,
            "concurrencyPolicy": "Allow",
            "jobTemplate": {"spec": {"backoffLimit": 4, "activeDeadlineSeconds": 40}},
        }
        await cluster.api.merge(CRON_JOBS, "module-shop-r1", cluster.namespace, {"spec": changed})

        found = differences(
            revision_properties(spec, weight=0, is_active=False), (await properties(harness))[1]
        )
        assert {each.path: each.actual for each in found} == {
            "schedule": "active",
            "schedule/concurrencyPolicy": "Allow",
            "schedule/cron": "*/5 * * * *",
            "schedule/retries": "4",
            "schedule/timeLimitS": "10",
        }

    run_scenario(scenario)


@pytest.mark.long
@pytest.mark.shows(Feature.SCHEDULES, on="aks")
def test_runs_that_failed_are_told_and_the_next_one_is_awaited(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        failing = harness.ending(nightly(harness, 1, Schedule("* * * * *", 30)), 3)
        await harness.surface.apply(failing, fence(1))

        await schedules(harness).activate_schedule(SHOP, 1, fence(1))

        live = await harness.until(lambda live: only(live).reason == "RunFailed")
        assert only(live).is_ready
        assert "exit status 3: it ends with 3" in only(live).message
        lines = await harness.surface.logs(SHOP, only(live).id, 5)
        assert isinstance(lines, Present)
        assert lines.value == ("it ends with 3",)

    run_scenario(scenario)
