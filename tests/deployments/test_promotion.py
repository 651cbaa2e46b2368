"""A release goes on to the next environment once it was Completed and Healthy for the soak time."""

from datetime import timedelta

import pytest

from function_apps.deployments.errors import EvidenceRequired, NotPromotable
from function_apps.deployments.model.promotion import Source, require_soak_time, soak_evidence
from function_apps.deployments.use_cases.promote import load_source, promote
from shared.contracts.health import HealthStatus
from shared.contracts.promotions import PromoteDeployment, SoakDefaults, SoakEvidence
from shared.contracts.values import Stage
from tests.deployments.driven import Driven, driven, environment
from tests.kit.virtual_time import run_virtual

SOAK = timedelta(minutes=5)
STAGING = environment("staging")


async def soaked(world: Driven, deployment: str) -> SoakEvidence:
    """Ask health as the route does."""
    source = await load_source(deployment, world.bench.ctx(), world.app)
    services = [one.service_id for one in source.unit.components]
    said = await world.app.verdicts.ask(services, token="")
    return soak_evidence(source, said, SOAK, world.app.service.clock.now())


async def promote_after(world: Driven, deployment: str, *, after: timedelta) -> str:
    await world.app.service.clock.sleep(after.total_seconds())
    command = PromoteDeployment(
        deployment_id=deployment,
        to_environment_id=STAGING,
        evidence=await soaked(world, deployment),
    )
    outcome = await promote(command, world.bench.ctx(), world.app)
    return str(outcome.value["deploymentId"])


def test_the_same_digests_go_on_with_the_evidence() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.tell(stage=Stage.STAGING, name="staging")

        identity = await promote_after(world, one.deployment_id, after=SOAK)
        await world.settle()

        done = await world.deployment(identity)
        assert done.status == "Completed"
        assert done.unit is not None
        assert one.unit is not None
        assert done.environment_id == STAGING
        assert done.unit.components[0].digest == one.unit.components[0].digest
        assert done.evidence is not None
        assert done.evidence.deployment_id == one.deployment_id

    run_virtual(main())


def test_a_promotion_before_its_time_says_how_long_is_left() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        with pytest.raises(NotPromotable, match="60 s are left") as refused:
            await promote_after(world, one.deployment_id, after=SOAK - timedelta(seconds=60))

        assert refused.value.code == "SoakTimeLeft"
        assert refused.value.headers["Retry-After"] == "60"

    run_virtual(main())


@pytest.mark.parametrize(
    "status", [HealthStatus.DEGRADED, HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN]
)
def test_only_what_is_healthy_is_promoted(status: HealthStatus) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        world.soaked.status = status

        with pytest.raises(NotPromotable, match=status):
            await promote_after(world, one.deployment_id, after=SOAK)

    run_virtual(main())


def test_what_is_not_in_force_any_more_is_not_promoted() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        two = await world.release("two")

        with pytest.raises(NotPromotable, match=two.deployment_id):
            await promote_after(world, one.deployment_id, after=SOAK)

    run_virtual(main())


def test_what_was_rolled_back_is_not_promoted() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.bad.add(await world.upload("one"))
        one = await world.release("one")

        with pytest.raises(NotPromotable, match="RolledBack"):
            await promote_after(world, one.deployment_id, after=SOAK)

    run_virtual(main())


def test_by_message_a_promotion_needs_the_evidence_in_it() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        with pytest.raises(EvidenceRequired):
            await promote(command, world.bench.ctx(), world.app)

    run_virtual(main())


def test_the_time_before_it_was_completed_does_not_count() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        source = Source.of(one)
        evidence = await soaked(world, one.deployment_id)

        with pytest.raises(NotPromotable, match="for 0 s of 300 s"):
            require_soak_time(source, evidence, SoakDefaults(), world.app.service.clock.now())

    run_virtual(main())
