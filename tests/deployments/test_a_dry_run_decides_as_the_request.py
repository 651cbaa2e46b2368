"""A dry run and its request are one decision: the same plan, or the same refusal first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from function_apps.deployments.use_cases.promote import plan_promotion, promote
from shared.contracts.deployment_plans import DeploymentPlan
from shared.contracts.deployments import Deploy
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from shared.images.image_rules import ImageRule, ImageRules
from shared.kernel.errors import Refused
from shared.policies.prod_policy import PolicyDenied
from tests.deployments.driven import CART, WEB, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_holds_are_of_release_units import one_in_force, turned_back
from tests.deployments.test_images_are_pinned_once import ANYWHERE, TAGGED, component
from tests.deployments.test_prod_takes_what_its_policy_allows import in_prod, ruled
from tests.deployments.test_promotion import SOAK, STAGING, soaked
from tests.deployments.told_policies import scaled
from tests.kit.memory_images import MemoryImages
from tests.kit.virtual_time import run_virtual

Command = Deploy | PromoteDeployment
Case = Callable[[], Awaitable[tuple[Driven, Command]]]
NO_ARTIFACT = "sha256:" + "0" * 64


async def told() -> Driven:
    world = driven()
    await world.tell()
    return world


async def new() -> tuple[Driven, Command]:
    world = await told()
    parts = [await world.component("one"), await world.component("two", CART, dependsOn=[WEB])]
    return world, await world.command(*parts, await world.component("three", WEB))


async def behind_another() -> tuple[Driven, Command]:
    world = await told()
    await world.deploy(await world.component("one"))
    return world, await world.command(await world.component("two"))


async def before_its_environment() -> tuple[Driven, Command]:
    world = driven()
    return world, await world.command(await world.component("one"))


async def of_an_image() -> tuple[Driven, Command]:
    return await image(ANYWHERE)


async def of_an_image_that_its_rules_refuse() -> tuple[Driven, Command]:
    return await image(ImageRules({"*": ImageRule("*", ["ghcr.io"])}))


async def image(rules: ImageRules, **more: Any) -> tuple[Driven, Command]:
    images = MemoryImages()
    images.push(TAGGED, "one")
    world = driven(rules=DeploymentsRules(images=rules), images=images)
    await world.tell()
    return world, await world.command(component(**more))


async def of_an_image_that_is_refused_by_its_plan_too() -> tuple[Driven, Command]:
    return await image(ImageRules(), replicas=0)


async def repeated_on_its_way() -> tuple[Driven, Command]:
    world, command = await new()
    await asked(world, command)
    return world, command


async def repeated_in_force_without_its_archive() -> tuple[Driven, Command]:
    world = await told()
    part = await world.component("one")
    await world.deploy(part)
    await world.settle()
    digest = part["artifactDigest"].removeprefix("sha256:")
    await world.app.blobs.delete(f"sha256/{digest}")
    return world, await world.command(part)


async def asked_for_otherwise_on_its_way() -> tuple[Driven, Command]:
    world = await told()
    part = await world.component("one")
    await world.deploy(part)
    return world, await world.command(part, strategy={"kind": "recreate"})


async def impossible() -> tuple[Driven, Command]:
    world = await told()
    part = await world.component("one", artifactDigest=NO_ARTIFACT, replicas=0)
    return world, await world.command(part, onConflict="supersede")


async def impossible_while_suspended() -> tuple[Driven, Command]:
    world, command = await impossible()
    await bound(world, "Suspended")
    return world, command


async def held() -> tuple[Driven, Command]:
    world = driven()
    await one_in_force(world)
    await turned_back(world, "two")
    return world, await world.command(await world.component("two"))


async def held_while_suspended() -> tuple[Driven, Command]:
    world, command = await held()
    await bound(world, "Suspended")
    return world, command


async def of_a_failed_environment() -> tuple[Driven, Command]:
    world = await told()
    await world.tell(EnvironmentStatus.FAILED)
    return world, await world.command(await world.component("one"))


async def where_the_queue_is_taken() -> tuple[Driven, Command]:
    world = await told()
    await world.deploy(await world.component("one"))
    return world, await world.command(await world.component("two"), onConflict="reject")


async def of_prod_that_its_policy_denies() -> tuple[Driven, Command]:
    world = await in_prod(stages=["staging"])
    return world, await world.command(await world.component("one"))


async def of_prod_that_is_suspended_and_denied() -> tuple[Driven, Command]:
    world = await in_prod(stages=["staging"])
    await bound(world, "Suspended")
    return world, await world.command(await world.component("one"))


async def where_the_policy_needs_the_stage() -> tuple[Driven, Command]:
    world = driven()
    ruled(world, stages=["staging"])
    return world, await world.command(await world.component("one"))


async def promoted() -> tuple[Driven, Command]:
    world = await told()
    one = await world.release("one")
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    evidence = await soaked(world, one.deployment_id)
    return world, PromoteDeployment(
        deployment_id=one.deployment_id, to_environment_id=STAGING, evidence=evidence
    )


async def promoted_too_early_to_where_nothing_is() -> tuple[Driven, Command]:
    world = await told()
    one = await world.release("one")
    await world.tell(EnvironmentStatus.FAILED, stage=Stage.STAGING, name="staging")
    return world, PromoteDeployment(deployment_id=one.deployment_id, to_environment_id=STAGING)


async def of_a_number_that_fewer_carry() -> tuple[Driven, Command]:
    world = await told()
    await world.deploy(await world.component("one", replicas=3))
    await world.settle()
    return world, await world.command(await world.component("two"))


async def that_stops_what_runs() -> tuple[Driven, Command]:
    world, _ = await of_a_number_that_fewer_carry()
    part = await world.component("two", replicas=3)
    return world, await world.command(part, strategy={"kind": "recreate"})


async def without_a_port() -> tuple[Driven, Command]:
    world = await told()
    return world, await world.command(await world.component("one", port=None, probes={}))


async def promoted_without_its_policy() -> tuple[Driven, Command]:
    world = await told()
    await scaled(world, 1)
    one = await world.release("one")
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    evidence = await soaked(world, one.deployment_id)
    return world, PromoteDeployment(
        deployment_id=one.deployment_id, to_environment_id=STAGING, evidence=evidence
    )


async def asked(world: Driven, command: Command) -> Mapping[str, Any]:
    if isinstance(command, Deploy):
        return (await deploy(command, world.ctx, world.app)).value
    return (await promote(command, world.ctx, world.app, token="t")).value


async def planned(world: Driven, command: Command) -> DeploymentPlan:
    if isinstance(command, Deploy):
        return await plan_deployment(command, world.ctx, world.app)
    return await plan_promotion(command, world.ctx, world.app, token="t")


def codes(refusal: Refused) -> Sequence[str]:
    is_listed = isinstance(refusal, CannotBePlanned | PolicyDenied)
    return [each.code for each in refusal.details] if is_listed else [refusal.code]


ENTERING: Final = (new, behind_another, before_its_environment, of_an_image, promoted)
REPEATED: Final = (repeated_on_its_way, repeated_in_force_without_its_archive)
PLACED: Final = [each for each in (*ENTERING, *REPEATED) if each is not before_its_environment]
"""Before its environment nothing has a place, whose archive a plan would name."""


@pytest.mark.parametrize(
    "case",
    [*ENTERING, *REPEATED],
    ids=lambda case: case.__name__.replace("_", "-"),
)
def test_what_is_taken_has_the_plan_of_its_dry_run(case: Case) -> None:
    async def main() -> None:
        world, command = await case()

        plan = await planned(world, command)
        answer = await asked(world, command)

        made = await world.deployment(answer["deploymentId"])
        assert plan.refusals == ()
        assert plan.order == made.order
        assert plan.repeats == (made.deployment_id if case in REPEATED else None)

    run_virtual(main())


@pytest.mark.parametrize(
    "case",
    PLACED,
    ids=lambda case: case.__name__.replace("_", "-"),
)
def test_the_archives_of_what_is_taken_are_in_the_plan_of_its_dry_run(case: Case) -> None:
    async def main() -> None:
        world, command = await case()

        plan = await planned(world, command)
        answer = await asked(world, command)

        made = await world.deployment(answer["deploymentId"])
        recorded = {each.module_id: each.digest for each in made.components}
        assert {each.module_id: each.digest for each in plan.components} == recorded

    run_virtual(main())


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (before_its_environment, "is not known"),
        (of_a_number_that_fewer_carry, "runs 3 instances now"),
        (that_stops_what_runs, "`recreate` stops module-shop"),
        (without_a_port, "has no port"),
        (promoted_without_its_policy, "a scaling policy is of its environment"),
        (repeated_on_its_way, ""),
        (promoted, ""),
    ],
    ids=lambda case: case.__name__.replace("_", "-") if callable(case) else "",
)
def test_what_is_taken_warns_of_what_its_dry_run_warns(case: Case, expected: str) -> None:
    async def main() -> None:
        world, command = await case()

        plan = await planned(world, command)
        answer = await asked(world, command)

        assert answer["warnings"] == list(plan.warnings)
        assert len(plan.warnings) == bool(expected)
        assert expected in "".join(plan.warnings)

    run_virtual(main())


@pytest.mark.parametrize(
    ("case", "expected"),
    [pytest.param(before_its_environment, 1, id="nobody-knows-it"),
     pytest.param(behind_another, 0, id="it-is-known")],
)  # fmt: skip
def test_of_an_environment_that_is_not_known_the_plan_warns(case: Case, expected: int) -> None:
    async def main() -> None:
        world, command = await case()

        warnings = (await planned(world, command)).warnings

        assert len(warnings) == expected
        assert all("nor one that the tenant is bound to" in each for each in warnings)

    run_virtual(main())


@pytest.mark.parametrize(
    "case", [*ENTERING, *REPEATED], ids=lambda case: case.__name__.replace("_", "-")
)
def test_what_enters_a_queue_waits_for_what_its_dry_run_says(case: Case) -> None:
    async def main() -> None:
        world, command = await case()

        plan = await planned(world, command)
        answer = await asked(world, command)

        assert plan.waiting_for == answer["waitingFor"]

    run_virtual(main())


@pytest.mark.parametrize(
    "case",
    [
        of_an_image_that_its_rules_refuse, of_an_image_that_is_refused_by_its_plan_too,
        asked_for_otherwise_on_its_way, impossible, impossible_while_suspended,
        held, held_while_suspended, of_a_failed_environment, where_the_queue_is_taken,
        of_prod_that_its_policy_denies, of_prod_that_is_suspended_and_denied,
        where_the_policy_needs_the_stage, promoted_too_early_to_where_nothing_is,
    ],
    ids=lambda case: case.__name__.replace("_", "-"),
)  # fmt: skip
def test_what_refuses_a_request_is_what_its_dry_run_lists_first(case: Case) -> None:
    async def main() -> None:
        world, command = await case()

        plan = await planned(world, command)
        with pytest.raises(Refused) as refused:
            await asked(world, command)

        first = codes(refused.value)
        assert [each.code for each in plan.refusals][: len(first)] == first
        assert len({*plan.refusals}) == len(plan.refusals)

    run_virtual(main())
