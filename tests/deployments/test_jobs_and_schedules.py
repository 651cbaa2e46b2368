"""A job ends before anything gets traffic, once for each release; one schedule is active."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned, NotRollbackable
from function_apps.deployments.model import jobs
from shared.contracts.components import Component
from shared.contracts.deployments import DeploymentStatus, EndReason
from shared.contracts.releases import ReleasedComponent
from shared.surfaces.capabilities import Capabilities, Feature
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit import told
from tests.kit.memory_cluster import Behaviour
from tests.kit.memory_surface import MemorySurface
from tests.kit.releases import a_component
from tests.kit.virtual_time import run_virtual

JOB = "module-migrate"
NIGHTLY = "module-nightly"


async def job(world: Driven, content: str, **more: Any) -> dict[str, Any]:
    once = {"runsOnce": {"timeLimit": "PT1M"}, "port": None}
    return await world.component(content, JOB, **{**once, **more})


async def nightly(world: Driven, content: str, cron: str = "0 2 * * *") -> dict[str, Any]:
    return await world.component(content, NIGHTLY, port=None, schedule={"cron": cron})


async def web(world: Driven, content: str) -> dict[str, Any]:
    return await world.component(content, dependsOn=[JOB])


async def ended(world: Driven, *components: Mapping[str, Any], **more: Any) -> Any:
    answer = await world.deploy(*components, **more)
    await world.settle()
    return await world.deployment(answer["deploymentId"])


def active(world: Driven) -> list[int]:
    """Return the revisions whose schedule starts runs."""
    (state,) = (
        each for name, each in world.world.sites[TEST].components.items() if name.module == NIGHTLY
    )
    return [number for number, revision in state.revisions.items() if revision.is_active]


def test_a_job_ends_before_what_needs_it_is_started() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("schema")] = Behaviour(start_s=40)
        began = world.ctx.now()

        done = await ended(world, await web(world, "one"), await job(world, "schema"))

        assert done.status is DeploymentStatus.COMPLETED
        assert world.world.started == [(JOB, 1)]
        component = next(
            state
            for name, state in world.world.sites[TEST].components.items()
            if name.module == SHOP
        )
        assert component.revisions[1].instances[0].started_at - began >= timedelta(seconds=40)
        assert {each.module_id for each in done.proof.instances} == {JOB, SHOP}
        assert [each.module_id for each in world.health.asked] == [SHOP]

    run_virtual(main())


def test_a_release_of_a_job_alone_completes() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        done = await ended(world, await job(world, "schema"))

        assert done.status is DeploymentStatus.COMPLETED
        assert world.health.asked == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        pytest.param(Behaviour(exit_code=3), "exit status 3", id="its-exit-code"),
        pytest.param(Behaviour(becomes_ready=False), "time limit exceeded", id="too-long"),
    ],
)
def test_a_job_that_does_not_end_well_takes_the_release_back(
    behaviour: Behaviour, words: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await ended(world, await web(world, "one"), await job(world, "schema"))
        output = ("altering orders", "no such column")
        world.world.behaviours[await world.upload("bad")] = replace(behaviour, output=output)

        done = await ended(world, await web(world, "two"), await job(world, "bad"))

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason.code == "JobFailed"
        assert words in done.reason.message
        assert "altering orders\nno such column" in done.reason.message
        assert done.reason.message.endswith("a rollback runs no job again: module-migrate")
        assert world.world.started == [(JOB, 1), (JOB, 2)]
        assert world.live() == ({1: 1}, {1: 100})
        assert {each.module_id for each in done.holds} == {JOB, SHOP}

    run_virtual(main())


def test_a_job_that_never_comes_to_run_is_not_waited_for_without_end() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("lost")] = Behaviour(cannot_start="no image")

        long = {"runsOnce": {"timeLimit": "PT2H"}}
        done = await ended(world, await job(world, "lost", **long))

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason.code == "CannotStart"
        assert "no image" in done.reason.message

    run_virtual(main())


def test_an_activity_that_is_repeated_runs_no_job_again() -> None:
    async def main() -> None:
        world = driven()
        world.twice = True
        await world.tell()

        done = await ended(world, await web(world, "one"), await job(world, "schema"))

        assert done.status is DeploymentStatus.COMPLETED
        assert world.world.started == [(JOB, 1)]

    run_virtual(main())


def test_undoing_a_release_leaves_its_job_and_says_so() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await ended(world, await web(world, "one"), await job(world, "schema"))
        second = await ended(world, await web(world, "two"), await job(world, "schema-2"))

        answer = await world.rollback(second.deployment_id)
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.status is DeploymentStatus.COMPLETED
        assert done.modules == (SHOP,)
        assert world.world.started == [(JOB, 1), (JOB, 2)]
        said = {reason.code: reason.message for reason in done.absent}
        assert said["JobNotRunAgain"] == "a rollback runs no job again: module-migrate"

    run_virtual(main())


def test_a_release_of_jobs_alone_has_nothing_to_go_back_to() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await ended(world, await job(world, "schema"))
        second = await ended(world, await job(world, "schema-2"))

        with pytest.raises(NotRollbackable, match="runs no job again"):
            await world.rollback(second.deployment_id)

    run_virtual(main())


def test_a_server_that_becomes_a_job_gives_its_traffic_up() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await ended(world, await world.component("server", JOB))

        done = await ended(world, await job(world, "schema"))

        assert done.status is DeploymentStatus.COMPLETED
        assert world.world.started == [(JOB, 2)]

    run_virtual(main())


def test_the_old_schedule_is_active_until_the_new_release_is_promoted() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        seen: list[tuple[str, list[int]]] = []
        await ended(world, await world.component("one"), await nightly(world, "nightly"))
        world.interfere = lambda name: seen.append((name, active(world)))

        done = await ended(world, await world.component("two"), await nightly(world, "nightly-2"))

        assert done.status is DeploymentStatus.COMPLETED
        steps = {"check_ready", "begin_step", "check_analysis"}
        before = [of for name, of in seen if name in steps]
        assert before
        assert all(of == [1] for of in before)
        assert active(world) == [2]

    run_virtual(main())


@pytest.mark.parametrize("gate_fails", [True, False], ids=["at-the-gate", "at-the-proof"])
def test_a_release_that_goes_back_leaves_one_schedule_active(*, gate_fails: bool) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await ended(world, await world.component("one"), await nightly(world, "nightly"))
        two = await world.upload("two")
        if gate_fails:
            world.health.bad.add(two)
        else:
            world.world.tampered.add(f"{SHOP}-2-0")

        done = await ended(world, await world.component("two"), await nightly(world, "nightly-2"))

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert active(world) == [1]

    run_virtual(main())


def test_what_runs_to_its_end_has_no_part_of_a_server() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        asked = await job(
            world, "schema", port=8080, pathPrefix="/", replicas=2,
            release={"path": "/v", "field": "v"},
            probes={"readiness": {"path": "/", "port": 8080}},
        )  # fmt: skip

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(await world.component("one", CART), asked)

        found = [each for each in refused.value.details if each.code == "NotForJobs"]
        assert [each.target for each in found] == [
            "/components/1/port",
            "/components/1/pathPrefix",
            "/components/1/release",
            "/components/1/probes/readiness",
            "/components/1/replicas",
        ]
        assert all(JOB in each.message for each in found)

    run_virtual(main())


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"runsOnce": {"timeLimit": "PT1M"}}, "runsOnce", id="a-job"),
        pytest.param({"schedule": {"cron": "0 2 * * *"}}, "schedule", id="a-schedule"),
    ],
)
def test_it_is_told_which_of_its_fields_makes_the_others_impossible(
    changes: Mapping[str, Any], kind: str
) -> None:
    asked = Component.model_validate(
        {**a_component(told.DIGEST, "1", JOB, **changes), "port": 8080, "replicas": 2, "probes": {}}
    )

    port, replicas = jobs.refusals(asked, "/components/0")

    assert port.message.startswith(f"{JOB} has {kind}: ")
    assert (port.expected, port.received) == ("nothing", "8080")
    assert (replicas.expected, replicas.received) == ("1", "2")


def test_a_reason_as_long_as_it_may_be_has_room_for_the_jobs_that_are_left_out() -> None:
    job = ReleasedComponent.model_validate(
        told.released(JOB, runsOnce={"timeLimit": "PT1M"}, port=None, probes={})
    )
    longest = "x" * 2048

    reason = jobs.with_left_out(EndReason(code="GateFailed", message=longest), [job])

    assert len(reason.message) == len(longest)
    assert reason.message.endswith(f"xx; a rollback runs no job again: {JOB}")


class RunsServersOnly(MemorySurface):
    """A surface without jobs and schedules."""

    def capabilities(self) -> Capabilities:
        offered = super().capabilities()
        lacks = dict.fromkeys((Feature.JOBS, Feature.SCHEDULES), "it keeps what it starts running")
        return replace(offered, lacks={**offered.lacks, **lacks})


def test_a_surface_that_only_serves_refuses_by_name() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        (kind,) = world.app.surfaces
        world.app = replace(world.app, surfaces={kind: RunsServersOnly(world.world)})

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(await job(world, "schema"), await nightly(world, "nightly"))

        assert [(each.code, each.target) for each in refused.value.details] == [
            ("NotSupported", "/components/0/runsOnce"),
            ("NotSupported", "/components/1/schedule"),
        ]
        assert JOB in refused.value.details[0].message

    run_virtual(main())
