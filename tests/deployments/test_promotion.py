"""A release goes on to the next environment once it was Completed and Healthy for the soak time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from function_apps.deployments.errors import EvidenceRequired, NotPromotable
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.promotion import Source, require_soak_time, soak_evidence
from function_apps.deployments.use_cases.promote import load_source, plan_promotion, promote
from shared.contracts.health import HealthStatus, ServiceHealth
from shared.contracts.promotions import PromoteDeployment, SoakDefaults, SoakEvidence
from shared.contracts.values import ComputeTargetKind, ServiceId, Stage
from tests.deployments import configured, told_secrets
from tests.deployments.driven import SHOP, Driven, driven, environment
from tests.deployments.told_policies import scaled
from tests.kit.virtual_time import run_virtual

LOCAL, AKS = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS
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


def test_evidence_of_another_stage_is_none() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.app.service.clock.sleep(SOAK.total_seconds())
        elsewhere = (await soaked(world, one.deployment_id)).model_copy(
            update={"stage": Stage.STAGING}
        )
        command = PromoteDeployment(
            deployment_id=one.deployment_id, to_environment_id=STAGING, evidence=elsewhere
        )

        with pytest.raises(EvidenceRequired):
            await promote(command, world.bench.ctx(), world.app)

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


async def ready() -> tuple[Driven, Deployment]:
    """Return a world with a release that may go on to staging."""
    world = driven()
    await world.tell()
    one = await world.release("one")
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    return world, one


def test_a_dry_run_of_a_promotion_that_was_made_refuses_nothing() -> None:
    async def main() -> None:
        world, one = await ready()
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)
        await promote(command, world.ctx, world.app, token="t")
        await world.settle()
        await world.release("two")

        again = await promote(command, world.ctx, world.app, token="t")
        plan = await plan_promotion(command, world.ctx, world.app, token="t")

        assert (again.is_repeat, plan.refusals) == (True, ())

    run_virtual(main())


@pytest.mark.parametrize(
    ("offered", "place"),
    [((LOCAL, AKS), AKS), ((LOCAL,), LOCAL)],
    ids=["offers-it", "offers-another"],
)
def test_a_component_stays_on_its_surface_where_the_next_environment_offers_it(
    offered: Sequence[ComputeTargetKind], place: ComputeTargetKind
) -> None:
    async def main() -> None:
        world = driven()
        (surface,) = world.app.surfaces.values()
        world.app = replace(world.app, surfaces={LOCAL: surface, AKS: surface})
        await world.tell(targets=(LOCAL, AKS))
        answer = await world.deploy(await world.component("one", computeTarget=AKS))
        await world.settle()
        one = await world.deployment(answer["deploymentId"])
        await world.tell(stage=Stage.STAGING, name="staging", targets=offered)
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        plan = await plan_promotion(command, world.ctx, world.app, token="t")

        assert [each.compute_target for each in plan.components] == [place]

    run_virtual(main())


def test_a_dry_run_lists_that_the_release_is_no_longer_in_force() -> None:
    async def main() -> None:
        world, one = await ready()
        await world.release("two")
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        plan = await plan_promotion(command, world.ctx, world.app, token="t")

        assert [refusal.code for refusal in plan.refusals] == ["NotPromotable"]

    run_virtual(main())


@dataclass
class SlowVerdicts:
    """Health that takes its time, while the target of the promotion is written every second."""

    world: Driven
    asked: int = 0

    async def ask(self, services: Sequence[ServiceId], *, token: str) -> Sequence[ServiceHealth]:
        self.asked += 1
        for _ in range(3):
            await self.world.app.service.clock.sleep(1)
            await self.world.tell(stage=Stage.STAGING, name="staging")
        return await self.world.soaked.ask(services, token=token)


def test_a_slow_answer_of_health_is_awaited_once_and_comes_in_time() -> None:
    async def main() -> None:
        world, one = await ready()
        slow = SlowVerdicts(world)
        app = replace(world.app, verdicts=slow)
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        async with asyncio.timeout(10):
            outcome = await promote(command, world.bench.ctx(marker="request/1"), app, token="t")

        assert (outcome.is_repeat, slow.asked) == (False, 1)

    run_virtual(main())


async def scaled_by_a_policy(world: Driven, *, there: bool = False) -> Deployment:
    """Return a release of two instances that a policy gave four; *there*: staging has a policy."""
    await world.tell()
    await scaled(world, 1, minimum=4)
    answer = await world.deploy(await world.component("one", replicas=2))
    await world.settle()
    await world.tell(stage=Stage.STAGING, name="staging")
    if there:
        await scaled(world, 7, minimum=3, environment_id=STAGING)
    return await world.deployment(answer["deploymentId"])


def test_a_policy_is_not_promoted_and_the_release_has_as_many_instances_as_it_asked_for() -> None:
    async def main() -> None:
        world = driven()
        one = await scaled_by_a_policy(world)
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        plan = await plan_promotion(command, world.ctx, world.app, token="t")
        identity = await promote_after(world, one.deployment_id, after=SOAK)
        await world.settle()
        done = await world.deployment(identity)

        assert one.unit is not None
        assert one.unit.components[0].replicas == 4
        assert done.unit is not None
        (component,) = done.unit.components
        assert (component.replicas, component.scaling_policy_revision) == (2, 0)
        (left,) = [each for each in done.absent if each.code == "ScalingPolicyNotPromoted"]
        assert f"module-shop gets 2 instances here, until {component.service_id} has a policy" in (
            left.message
        )
        assert plan.warnings == (left.message,)

    run_virtual(main())


def test_the_policy_of_the_next_environment_decides_there_and_nothing_is_said() -> None:
    async def main() -> None:
        world = driven()
        one = await scaled_by_a_policy(world, there=True)
        command = PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)

        plan = await plan_promotion(command, world.ctx, world.app, token="t")
        identity = await promote_after(world, one.deployment_id, after=SOAK)
        await world.settle()
        done = await world.deployment(identity)

        assert done.unit is not None
        (component,) = done.unit.components
        assert (component.replicas, component.scaling_policy_revision) == (3, 7)
        assert "ScalingPolicyNotPromoted" not in {each.code for each in done.absent}
        assert plan.warnings == ()

    run_virtual(main())


def test_a_dry_run_says_which_configuration_and_secrets_stay_behind() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await told_secrets.bind(world, "1")
        await configured.publish(world, "module", 1, {"colour": "red"})
        answer = await world.deploy(await world.component("one"))
        await world.settle()
        await world.tell(stage=Stage.STAGING, name="staging")
        command = PromoteDeployment(deployment_id=answer["deploymentId"], to_environment_id=STAGING)

        (warning,) = (await plan_promotion(command, world.ctx, world.app, token="t")).warnings

        assert warning.startswith(f"{SHOP} has no configuration, no secret password in this")

    run_virtual(main())
