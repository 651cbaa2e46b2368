"""A plan is checked whole before the first change, and every refusal says where and what else."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model.rollout_steps import order_of
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from shared.contracts.components import Component
from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import PlanRefused
from shared.kernel.ids import ModuleId
from tests.deployments.driven import CART, SHOP, WEB, Driven, driven
from tests.kit.virtual_time import run_virtual

NO_ARTIFACT = "sha256:" + "0" * 64


def refused(changes: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Return code and place of each refusal of a deployment with *changes* to its component."""

    async def main() -> list[tuple[str, str]]:
        world = driven()
        await world.tell()
        component = await world.component("one", **changes)
        with pytest.raises(CannotBePlanned) as problem:
            await world.deploy(component, **more)
        assert await world.target() == await _untouched(world)
        assert world.bench.sent.types() == []
        return [(one.code, one.target) for one in problem.value.details]

    return run_virtual(main())


async def _untouched(world: Driven) -> Any:
    target = await world.target()
    assert target.queue == ()
    return target


@pytest.mark.parametrize(
    ("changes", "code", "place"),
    [
        pytest.param(
            {"artifactDigest": NO_ARTIFACT},
            "ArtifactMissing",
            "/components/0/artifactDigest",
            id="an-artifact-that-nobody-uploaded",
        ),
        pytest.param(
            {"artifactDigest": None, "image": "ghcr.io/team/web:1"},
            "NotSupported",
            "/components/0/image",
            id="an-image-where-none-runs",
        ),
        pytest.param(
            {"artifactDigest": None, "image": "web:1"},
            "BadReference",
            "/components/0/image",
            id="an-image-of-no-registry",
        ),
        pytest.param(
            {"replicas": 0}, "ZeroReplicasNotSupported", "/components/0/replicas", id="no-instances"
        ),
        pytest.param({"command": []}, "CommandMissing", "/components/0/command", id="no-command"),
        pytest.param(
            {"computeTarget": "AKS"},
            "NoComputeTarget",
            "/components/0/computeTarget",
            id="a-surface-the-environment-lacks",
        ),
        pytest.param(
            {"probes": {"readiness": {"kind": "command", "command": ["true"]}}},
            "NotSupported",
            "/components/0/probes/readiness/kind",
            id="a-probe-of-another-kind",
        ),
        pytest.param(
            {"probes": {"readiness": {"port": 1}}},
            "ProbeNotSupported",
            "/components/0/probes/readiness/port",
            id="a-probe-of-another-port",
        ),
        pytest.param(
            {"probes": {"startup": {}}},
            "NotSupported",
            "/components/0/probes/startup",
            id="a-startup-probe",
        ),
        pytest.param(
            {"resources": {"cpu": 1.0}},
            "NotSupported",
            "/components/0/resources/cpu",
            id="a-limit-the-surface-cannot-hold",
        ),
        pytest.param(
            {"requires": ["ownUser"]},
            "NotSupported",
            "/components/0/requires/0",
            id="isolation-that-the-surface-has-not",
        ),
        pytest.param(
            {"replicas": 900}, "OutOfRange", "/components/0/replicas", id="more-than-it-runs"
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(changes: dict[str, Any], code: str, place: str) -> None:
    assert (code, place) in refused(changes)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"strategy": {"kind": "blueGreen"}}, "StrategyNotSupported", id="blue-green"),
        pytest.param({"strategy": {"kind": "rolling"}}, "StrategyNotSupported", id="rolling"),
        pytest.param({"onConflict": "supersede"}, "SupersedeNotSupported", id="supersede"),
        pytest.param(
            {
                "hooks": [
                    {"point": "preDeploy", "name": "migrate", "moduleId": SHOP, "command": ["x"]}
                ]
            },
            "HookNotSupported",
            id="hooks",
        ),
    ],
)
def test_what_is_not_offered_yet_is_refused_by_name(more: dict[str, Any], code: str) -> None:
    assert [found for found, _ in refused({}, **more)] == [code]


def test_every_refusal_is_listed_at_once() -> None:
    found = refused({"command": [], "artifactDigest": NO_ARTIFACT}, onConflict="supersede")

    assert {code for code, _ in found} == {
        "SupersedeNotSupported",
        "ArtifactMissing",
        "CommandMissing",
    }


def test_a_refusal_of_one_of_several_surfaces_points_at_the_component_in_the_command() -> None:
    async def main() -> None:
        local, other = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS
        world = driven()
        (surface,) = world.app.surfaces.values()
        world.app = replace(world.app, surfaces={local: surface, other: surface})
        await world.tell(targets=(local, other))
        command = await world.command(
            await world.component("shop", SHOP, computeTarget=local),
            await world.component("cart", CART, computeTarget=other, replicas=900),
            await world.component("web", WEB, computeTarget=local, resources={"cpu": 1.0}),
        )

        with pytest.raises(CannotBePlanned) as problem:
            await deploy(command, world.bench.ctx(), world.app)

        assert {each.target for each in problem.value.details} == {
            "/components/1/replicas",
            "/components/2/resources/cpu",
        }

    run_virtual(main())


def component(module: str, *needs: str) -> Component:
    return Component.model_validate(
        {
            "moduleId": module,
            "componentType": "microservice",
            "version": "1",
            "artifactDigest": NO_ARTIFACT,
            "dependsOn": needs,
        }
    )


def test_dependencies_come_first_and_else_the_order_given() -> None:
    order, cycle = order_of(
        [component(WEB, SHOP, CART), component(SHOP, CART), component(CART, "module-elsewhere")]
    )

    assert (order, cycle) == ((CART, SHOP, WEB), ())


def test_a_cycle_is_named() -> None:
    _, cycle = order_of([component(WEB, SHOP), component(SHOP, CART), component(CART, SHOP)])

    assert cycle == (SHOP, CART, SHOP)


def test_a_component_that_needs_itself_is_a_cycle() -> None:
    assert order_of([component(WEB, WEB)]) == ((), (WEB, WEB))


def test_a_dry_run_shows_units_order_and_refusals_and_changes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        shop = await world.component("shop", dependsOn=[CART])
        cart = await world.component("cart", CART, resources={"cpu": 1.0})
        command = await world.command(shop, cart, dryRun=True)

        plan = await plan_deployment(command, world.bench.ctx(), world.app)

        assert plan.order == (CART, SHOP)
        assert [(one.module_id, one.release_revision) for one in plan.components] == [
            (SHOP, 1),
            (CART, 1),
        ]
        assert [one.code for one in plan.refusals] == ["NotSupported"]
        assert (await world.target()).queue == ()
        assert world.bench.sent.types() == []

    run_virtual(main())


def test_prod_without_a_binding_is_refused_with_the_reason() -> None:
    from shared.contracts.values import Stage

    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        command = await world.command(await world.component("one"))

        with pytest.raises(PlanRefused, match="tenant binding") as problem:
            await deploy(command, world.bench.ctx(), world.app)

        assert problem.value.code == "TenantBindingRequired"

    run_virtual(main())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"onConflict": "reject"}, "QueueTaken", id="the-queue-is-taken"),
        pytest.param({"strategy": {"kind": "recreate"}}, "NaturalKeyActive", id="asked-otherwise"),
    ],
)
def test_a_dry_run_lists_what_the_deployments_on_their_way_refuse(
    changes: dict[str, Any], code: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        content = "one" if code == "NaturalKeyActive" else "two"
        await world.deploy(await world.component("one"))
        command = await world.command(await world.component(content), dryRun=True, **changes)

        plan = await plan_deployment(command, world.bench.ctx(), world.app)

        assert [each.code for each in plan.refusals] == [code]

    run_virtual(main())


def test_a_repeat_with_many_warnings_answers_as_many_as_the_first_request() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        needed = [f"module-n{number}" for number in range(25)]
        modules = [ModuleId(f"module-m{number}") for number in range(5)]
        components = [await world.component("one", each, dependsOn=needed) for each in modules]
        command = await world.command(*components, dryRun=True)

        first = await world.deploy(*components)
        again = await world.deploy(*components)
        plan = await plan_deployment(command, world.bench.ctx(), world.app)

        assert (len(first["warnings"]), again["warnings"]) == (100, first["warnings"])
        assert (plan.repeats, list(plan.warnings)) == (first["deploymentId"], first["warnings"])

    run_virtual(main())
