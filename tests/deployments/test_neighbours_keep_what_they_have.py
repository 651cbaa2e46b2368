"""The plan refuses what would take a path from another module, or a module from its dependents."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model import neighbours
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from function_apps.deployments.use_cases.deploy import plan_deployment
from function_apps.deployments.use_cases.promote import plan_promotion
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import ComputeTargetKind, Stage
from shared.kernel.ids import ModuleId, TenantId
from tests.deployments.driven import CART, SHOP, WEB, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_promotion import SOAK, STAGING, promote_after
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

AKS, LOCAL = ComputeTargetKind.AKS, ComputeTargetKind.LOCAL_PROCESS


async def completed(world: Driven, *components: Any, **more: Any) -> str:
    answer = await world.deploy(*components, **more)
    await world.settle()
    assert await world.status(answer["deploymentId"]) == "Completed"
    return str(answer["deploymentId"])


async def refusals(world: Driven, *components: Any, **more: Any) -> Sequence[tuple[str, str, str]]:
    """Return code, place and message of each refusal, equal in a dry run and in the deployment."""
    command = await world.command(*components, **more)
    plan = await plan_deployment(command, world.bench.ctx(), world.app)
    before = world.bench.sent.types()

    with pytest.raises(CannotBePlanned) as refused:
        await world.deploy(*components, **more)

    assert [each.code for each in plan.refusals] == [each.code for each in refused.value.details]
    assert world.bench.sent.types() == before
    return [(each.code, each.target, each.message) for each in refused.value.details]


def test_a_path_prefix_that_is_in_force_for_another_module_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("shop", pathPrefix="/shop"))

        found = await refusals(world, await world.component("web", WEB, pathPrefix="/shop"))

        ((code, place, message),) = found
        assert (code, place) == ("RouteTaken", "/components/0/pathPrefix")
        assert SHOP in message

    run_virtual(main())


def test_a_path_prefix_that_a_deployment_on_its_way_brings_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await world.deploy(await world.component("shop", pathPrefix="/shop"))

        found = await refusals(world, await world.component("web", WEB, pathPrefix="/shop"))

        assert [code for code, _, _ in found] == ["RouteTaken"]
        assert first["deploymentId"] in found[0][2]

    run_virtual(main())


@pytest.mark.parametrize("prefix", ["/", "/-", "/shop", f"/{TENANT}"])
def test_in_the_environment_of_another_tenant_nobody_has_a_path(prefix: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell(owner=TenantId("globex"))
        await bound(world, "Enforced")

        found = await refusals(world, await world.component("shop", pathPrefix=prefix))

        ((code, place, message),) = found
        assert (code, place) == ("PathNotOwned", "/components/0/pathPrefix")
        assert "globex" not in message
        await completed(world, await world.component("shop", pathPrefix=None))

    run_virtual(main())


@pytest.mark.parametrize(
    ("recorded", "prefix"), [("/shop/", "/shop"), ("//shop", "/shop"), ("/", "/")]
)
def test_a_prefix_is_taken_however_it_was_spelled_before(recorded: str, prefix: str) -> None:
    async def main() -> None:
        world = driven()
        command = await world.command(await world.component("web", WEB, pathPrefix=prefix))
        state = ModuleState(revision=1, path_prefix=recorded)
        target = replace(DeploymentTarget(command.environment_id), modules={ModuleId(SHOP): state})

        found = neighbours.refusals(command, TENANT, target, (), {})

        assert [each.code for each in found] == ["RouteTaken"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("recorded", "placed", "codes"),
    [
        pytest.param(AKS, LOCAL, [], id="each-surface-has-a-port"),
        pytest.param(LOCAL, LOCAL, ["RouteTaken"], id="the-same-surface"),
        pytest.param(None, LOCAL, ["RouteTaken"], id="nobody-recorded-where"),
        pytest.param(AKS, None, ["RouteTaken"], id="not-placed-yet"),
    ],
)
def test_a_prefix_is_taken_on_the_surface_that_has_it(
    recorded: ComputeTargetKind | None, placed: ComputeTargetKind | None, codes: list[str]
) -> None:
    async def main() -> None:
        world = driven()
        command = await world.command(await world.component("web", WEB, pathPrefix="/"))
        state = ModuleState(revision=1, path_prefix="/", compute_target=recorded)
        target = replace(DeploymentTarget(command.environment_id), modules={ModuleId(SHOP): state})
        places = {} if placed is None else {ModuleId(WEB): placed}

        found = neighbours.refusals(command, TENANT, target, (), places)

        assert [each.code for each in found] == codes

    run_virtual(main())


def test_two_modules_swap_their_path_prefixes_by_a_recreate_only() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(
            world,
            await world.component("shop", SHOP, pathPrefix="/a"),
            await world.component("web", WEB, pathPrefix="/b"),
        )
        swapped = (
            await world.component("shop 2", SHOP, pathPrefix="/b"),
            await world.component("web 2", WEB, pathPrefix="/a"),
        )

        found = await refusals(world, *swapped)

        assert [code for code, _, _ in found] == ["RouteTaken", "RouteTaken"]
        await completed(world, *swapped, strategy={"kind": "recreate"})

    run_virtual(main())


def test_a_module_keeps_its_own_path_prefix_and_a_free_one_is_taken() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("shop", pathPrefix="/shop"))

        await completed(world, await world.component("shop 2", pathPrefix="/shop"))
        await completed(world, await world.component("shop 3", pathPrefix="/other"))
        await completed(world, await world.component("web", WEB, pathPrefix="/shop"))

    run_virtual(main())


def test_a_rollback_to_a_path_prefix_that_is_anothers_by_now_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("shop", pathPrefix="/shop"))
        two = await completed(world, await world.component("shop 2", pathPrefix="/other"))
        await completed(world, await world.component("web", WEB, pathPrefix="/shop"))

        with pytest.raises(CannotBePlanned, match=WEB):
            await world.rollback(two)

    run_virtual(main())


async def occupied_staging(world: Driven) -> str:
    """Return a release in test whose path prefix another module has in staging."""
    await world.tell()
    await world.tell(stage=Stage.STAGING, name="staging")
    await completed(
        world, await world.component("web", WEB, pathPrefix="/shop"), environmentId=STAGING
    )
    return await completed(world, await world.component("shop", pathPrefix="/shop"))


def test_a_promotion_to_where_its_path_prefix_is_taken_is_refused() -> None:
    async def main() -> None:
        world = driven()
        one = await occupied_staging(world)

        with pytest.raises(CannotBePlanned, match=WEB):
            await promote_after(world, one, after=SOAK)

    run_virtual(main())


def test_a_dry_run_of_a_promotion_lists_path_and_soak_time() -> None:
    async def main() -> None:
        world = driven()
        one = await occupied_staging(world)
        command = PromoteDeployment(deployment_id=one, to_environment_id=STAGING, dry_run=True)

        plan = await plan_promotion(command, world.bench.ctx(), world.app, token="t")

        assert [each.code for each in plan.refusals] == ["SoakTimeLeft", "RouteTaken"]

    run_virtual(main())


def test_a_module_that_others_in_force_depend_on_is_not_removed() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("cart", CART))
        await completed(world, await world.component("shop", SHOP, dependsOn=[CART]))

        found = await refusals(world, remove=[CART])

        assert [(code, place) for code, place, _ in found] == [("StillNeeded", "/remove/0")]
        assert SHOP in found[0][2]

    run_virtual(main())


def test_a_module_that_one_on_its_way_depends_on_is_not_removed() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("cart", CART))
        first = await world.deploy(await world.component("shop", SHOP, dependsOn=[CART]))

        found = await refusals(world, remove=[CART])

        assert [code for code, _, _ in found] == ["StillNeeded"]
        assert first["deploymentId"] in found[0][2]

    run_virtual(main())


def test_a_module_is_removed_with_its_dependents_or_after_their_dependency() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        shop = await world.component("shop", SHOP, dependsOn=[CART])
        await completed(world, await world.component("cart", CART), shop)

        await completed(world, await world.component("shop 2", SHOP), remove=[CART])
        await completed(world, await world.component("cart", CART), shop)
        await completed(world, remove=[SHOP, CART])

    run_virtual(main())


def test_a_dry_run_names_what_would_be_removed_and_nothing_that_is_not_there() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("cart", CART, version="1.4"))
        await world.deploy(await world.component("shop"))
        web = await world.component("web", WEB)

        command = await world.command(web, remove=[CART, SHOP, ModuleId("module-none")])
        plan = await plan_deployment(command, world.bench.ctx(), world.app)

        removals = [(each.module_id, each.version, each.release_revision) for each in plan.removals]
        assert removals == [(CART, "1.4", 1), (SHOP, None, None)]
        assert [each.module_id for each in plan.components] == [WEB]

    run_virtual(main())


def test_a_module_that_is_not_there_is_not_removed() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("shop"))

        found = await refusals(world, remove=[CART])

        assert [(code, place) for code, place, _ in found] == [("NotDeployed", "/remove/0")]

    run_virtual(main())


def test_a_module_that_is_on_its_way_is_removed_once_it_is_there() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.deploy(await world.component("shop"))

        await completed(world, remove=[SHOP])

        assert world.live() == ({}, {})

    run_virtual(main())


def test_a_rollback_that_would_take_away_what_others_depend_on_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await completed(world, await world.component("web", WEB))
        both = await world.component("web 2", WEB), await world.component("cart", CART)
        added = await completed(world, *both)
        await completed(world, await world.component("shop", SHOP, dependsOn=[CART]))

        with pytest.raises(CannotBePlanned, match=SHOP):
            await world.rollback(added)

    run_virtual(main())


async def receipt() -> AsyncIterator[bytes]:
    yield b"{}"


def test_an_artifact_whose_bytes_are_gone_is_refused_before_the_first_change() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        digest = "sha256:" + "e" * 64
        await world.app.blobs.put(f"receipts/{TENANT}/sha256/{'e' * 64}", receipt())

        found = await refusals(world, await world.component("shop", artifactDigest=digest))

        assert [code for code, _, _ in found] == ["ArtifactMissing"]

    run_virtual(main())
