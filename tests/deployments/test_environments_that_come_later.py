"""A deployment may be asked for before its environment is there; how long it waits is bounded."""

import pytest

from function_apps.deployments.errors import EnvironmentNotUsable
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import DeploymentReason, DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import Stage
from shared.kernel.errors import PlanRefused
from shared.surfaces.spec import artifact_blob
from tests.deployments.driven import Driven, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual


async def asked_first(world: Driven) -> str:
    answer = await world.deploy(await world.component("one"))
    assert (answer["status"], answer["waitingFor"]) == ("Requested", "environment")
    world.begin()
    await world.app.service.clock.sleep(1)
    return str(answer["deploymentId"])


def test_it_starts_when_the_environment_is_there() -> None:
    async def main() -> None:
        world = driven()
        identity = await asked_first(world)
        assert (await world.shown(identity)).waiting_for == "environment"
        await world.app.service.clock.sleep(60)

        await world.tell(EnvironmentStatus.PROVISIONING)
        await world.app.service.clock.sleep(3600)
        await world.tell()
        await world.settle()

        done = await world.deployment(identity)
        assert (done.status, done.stage) == (DeploymentStatus.COMPLETED, Stage.TEST)
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_an_unknown_environment_is_waited_for_two_minutes() -> None:
    async def main() -> None:
        world = driven()
        identity = await asked_first(world)

        await world.settle()

        done = await world.deployment(identity)
        assert done.status is DeploymentStatus.FAILED
        assert done.reason is not None
        assert done.reason.code == "EnvironmentUnknown"
        assert 120 <= world.app.service.clock.monotonic_s() < 125
        (event,) = world.bench.sent.bodies("RuntimeDeploymentFailed")
        assert event["payload"]["stage"] is None

    run_virtual(main())


def test_one_on_its_way_is_waited_for_a_day() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(EnvironmentStatus.PLANNING)
        identity = await asked_first(world)

        await world.until_ended(identity, within_s=90_000, every_s=600)

        done = await world.deployment(identity)
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "EnvironmentLate")
        assert 86_400 <= world.app.service.clock.monotonic_s() < 87_600

    run_virtual(main())


def test_one_that_fails_fails_those_that_wait() -> None:
    async def main() -> None:
        world = driven()
        await world.tell(EnvironmentStatus.PROVISIONING)
        identity = await asked_first(world)

        await world.tell(EnvironmentStatus.FAILED)
        await world.settle()

        done = await world.deployment(identity)
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "EnvironmentFailed")

    run_virtual(main())


@pytest.mark.parametrize("status", [EnvironmentStatus.FAILED, EnvironmentStatus.DECOMMISSIONED])
def test_one_that_is_gone_or_failed_is_refused_at_once(status: EnvironmentStatus) -> None:
    async def main() -> None:
        world = driven()
        await world.tell(status)

        with pytest.raises(EnvironmentNotUsable, match=status):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_what_the_environment_turns_out_not_to_offer_fails_before_anything_is_applied() -> None:
    async def main() -> None:
        world = driven()
        answer = await world.deploy(await world.component("one", computeTarget="AKS"))
        world.begin()

        await world.tell()
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "PlanRefused")
        assert world.live() == ({}, {})

    run_virtual(main())


def test_an_older_event_of_the_environment_changes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        known = await world.target()

        world.revision -= 1
        await world.tell(EnvironmentStatus.FAILED)

        assert await world.target() == known

    run_virtual(main())


def test_a_failed_one_is_retried_as_a_new_attempt() -> None:
    async def main() -> None:
        world = driven()
        identity = await asked_first(world)
        await world.settle()
        await world.tell()

        await retry(identity, DeploymentReason(reason="it is there now"), world.ctx, world.app)
        await world.settle()

        done = await world.deployment(identity)
        assert (done.status, done.attempt) == (DeploymentStatus.COMPLETED, 2)
        await world.app.service.clock.sleep(60)
        await world.app.service.relay.sweep()
        endings = [
            (each.record.outcome, each.record.reason)
            for each in await world.app.service.audit.entries(TENANT)
            if each.record.action == "RetryDeployment"
        ]
        assert endings == [("Accepted", "it is there now")]

    run_virtual(main())


def test_a_retry_that_is_not_possible_any_more_is_refused_when_it_is_asked_for() -> None:
    async def main() -> None:
        world = driven()
        identity = await asked_first(world)
        await world.settle()
        await world.tell()
        (component,) = (await world.deployment(identity)).components
        await world.app.blobs.delete(artifact_blob(str(component.artifact_digest)))

        with pytest.raises(PlanRefused, match="has not been uploaded"):
            await retry(identity, DeploymentReason(), world.ctx, world.app)

        assert (await world.deployment(identity)).status is DeploymentStatus.FAILED

    run_virtual(main())


def test_a_decommissioned_environment_is_emptied_and_told_drained() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.silent.add(await world.upload("two"))
        active = await world.deploy(await world.component("two"))
        queued = await world.deploy(await world.component("three"))

        async def is_gating() -> bool:
            return await world.status(active["deploymentId"]) == "HealthGating"

        await world.until(is_gating)
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        await world.settle()

        (event,) = world.bench.sent.bodies("RuntimeEnvironmentDrained")
        assert event["payload"]["remaining"] == []
        assert await world.status(active["deploymentId"]) == "RolledBack"
        assert await world.status(queued["deploymentId"]) == "Cancelled"
        assert world.live() == ({}, {})
        target = await world.target()
        assert target.queue == ()
        assert {line.revision for line in target.modules.values()} == {0}

    run_virtual(main())
