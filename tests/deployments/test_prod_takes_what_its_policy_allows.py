"""A release comes to prod as the operator's rules have it; the way back is open whatever they say.

What a caller is told of it over HTTP: `tests/policies`.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
)
from function_apps.deployments.model.prod_change import prod_change
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.use_cases.promote import plan_promotion, promote
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy, DeploymentReason
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from shared.images.image_rules import ImageRule, ImageRules
from shared.kernel.ids import ModuleId, parse_id, tenant_binding_id
from shared.policies.prod_policy import PolicyDenied, ProdPolicy
from shared.policies.prod_rules import ProdChange, read_prod_rules
from tests.deployments.driven import CART, PROJECT, TEST, Driven, driven, environment
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_images_are_pinned_once import TAGGED, component
from tests.deployments.test_promotion import SOAK, soaked
from tests.kit.memory_images import MemoryImages
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

PROD = environment("prod")
IN_PROD = DeploymentTarget(
    PROD,
    environment=EnvironmentProjection(
        1, EnvironmentStatus.PROVISIONED, PROJECT, Stage.PROD, TENANT, 1
    ),
)
PROD_BINDING = tenant_binding_id(parse_id(PROD, "env").environment, TENANT)


def ruled(world: Driven, **rules: Any) -> None:
    world.app = replace(world.app, prod_policy=ProdPolicy(read_prod_rules(json.dumps(rules))))


async def in_prod(**rules: Any) -> Driven:
    """Return a world whose environment is prod, with its tenant bound."""
    world = driven()
    await world.tell(stage=Stage.PROD)
    await bound(world, "Enforced")
    ruled(world, **rules)
    return world


async def denials(world: Driven) -> list[Any]:
    rows = await world.rows("outbox")
    records = [row.body["record"] for row in rows if row.body["kind"] == "record"]
    return [each for each in records if each["outcome"] == "PolicyDenied"]


def test_a_direct_release_is_denied_where_prod_takes_promotions_only() -> None:
    async def main() -> None:
        world = await in_prod(stages=["staging"])

        with pytest.raises(PolicyDenied) as denied:
            await world.release("one")

        assert [each.code for each in denied.value.details] == ["StageNotAllowed"]
        (record,) = await denials(world)
        assert record["policy"]["inputs"]["components"][0]["moduleId"] == "module-shop"
        assert (await world.target()).queue == ()

    run_virtual(main())


@pytest.mark.parametrize(
    ("stages", "denied"),
    [
        pytest.param(["test"], [], id="from-there"),
        pytest.param(["staging"], ["StageNotAllowed"], id="from-elsewhere"),
    ],
)
def test_a_promotion_is_decided_by_the_stage_that_it_comes_from(
    stages: list[str], denied: list[str]
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.tell(stage=Stage.PROD, name="prod")
        await bound(world, "Enforced", binding=PROD_BINDING, to=PROD)
        await world.app.service.clock.sleep(SOAK.total_seconds())
        ruled(world, stages=stages)
        command = PromoteDeployment(
            deployment_id=one.deployment_id,
            to_environment_id=PROD,
            evidence=await soaked(world, one.deployment_id),
        )

        plan = await plan_promotion(command, world.bench.ctx(), world.app, token="t")
        found: list[str] = []
        try:
            await promote(command, world.bench.ctx(), world.app)
        except PolicyDenied as refused:
            found = [each.code for each in refused.details]

        assert found == denied
        assert [each.code for each in plan.refusals] == denied

    run_virtual(main())


def test_an_image_of_another_registry_is_denied_though_the_stage_takes_it() -> None:
    async def main() -> None:
        images = MemoryImages()
        images.push(TAGGED, "one")
        rules = DeploymentsRules(images=ImageRules({"*": ImageRule("*", ["*.azurecr.io"])}))
        world = driven(rules=rules, images=images)
        await world.tell(stage=Stage.PROD)
        await bound(world, "Enforced")
        ruled(world, registries=["prod.azurecr.io"])

        with pytest.raises(PolicyDenied) as denied:
            await world.deploy(component())

        (detail,) = denied.value.details
        assert (detail.code, detail.target) == ("RegistryNotAllowed", "/components/0/image")

    run_virtual(main())


def test_a_rollback_goes_back_to_what_the_rules_would_not_take_any_more() -> None:
    async def main() -> None:
        world = await in_prod()
        await world.release("one")
        two = await world.release("two")
        ruled(world, stages=[], sizes={"instance": {"memoryMib": 16}})

        answer = await world.rollback(two.deployment_id)
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"

    run_virtual(main())


def test_a_release_that_begins_anew_is_decided_again() -> None:
    async def main() -> None:
        world = await in_prod()

        answer = await world.deploy(await world.component("one"))
        await world.tell(EnvironmentStatus.FAILED, stage=Stage.PROD)
        await world.settle()
        await world.tell(stage=Stage.PROD)
        assert await world.status(answer["deploymentId"]) == "Failed"
        ruled(world, stages=[])

        with pytest.raises(PolicyDenied):
            await retry(answer["deploymentId"], DeploymentReason(), world.bench.ctx(), world.app)

        assert await world.status(answer["deploymentId"]) == "Failed"
        assert len(await denials(world)) == 1

    run_virtual(main())


def test_nothing_is_deployed_to_an_environment_whose_stage_is_not_known() -> None:
    async def main() -> None:
        world = driven()
        ruled(world, stages=["staging"])

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(await world.component("one"))

        (detail,) = refused.value.details
        assert (detail.code, detail.target) == ("EnvironmentUnknown", "/environmentId")
        assert (detail.expected, detail.received) == ("an environment that is known", TEST)
        assert "deploy when it is there" in detail.message

    run_virtual(main())


@pytest.mark.parametrize(
    ("promoted_from", "is_retry", "action"),
    [
        pytest.param(None, False, "Deploy", id="a-release"),
        pytest.param(Stage.STAGING, False, "PromoteDeployment", id="a-promotion"),
        pytest.param(None, True, "RetryDeployment", id="a-release-that-begins-anew"),
        pytest.param(Stage.STAGING, True, "RetryDeployment", id="a-promotion-that-begins-anew"),
    ],
)
def test_the_rules_are_told_what_is_asked_for_and_what_goes(
    promoted_from: Stage | None, action: str, *, is_retry: bool
) -> None:
    command = Deploy(
        environment_id=PROD,
        release_ref="one",
        components=(Component.model_validate(component()),),
        remove=(ModuleId(CART),),
    )

    change = prod_change(command, IN_PROD, promoted_from, is_retry=is_retry)

    assert change == ProdChange(
        action,
        PROD,
        components=command.components,
        remove=(ModuleId(CART),),
        promoted_from=promoted_from,
    )


def test_a_release_is_no_retry_unless_it_is_said_to_be() -> None:
    command = Deploy(environment_id=PROD, release_ref="one", remove=(ModuleId(CART),))

    change = prod_change(command, IN_PROD, None)

    assert change is not None
    assert change.action == "Deploy"
