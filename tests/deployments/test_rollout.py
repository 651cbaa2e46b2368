"""A release goes step by step from its candidate to the proof, as one unit in dependency order."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.deployments import DeploymentStatus
from shared.contracts.gates import Verdict
from tests.deployments.driven import CART, SHOP, WEB, Driven, driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.virtual_time import run_virtual


def steps(world: Driven) -> list[tuple[str, int, str]]:
    """Return step, weight and status of each StepChanged that left."""
    return [
        (each["payload"]["name"], each["payload"]["weight"], each["payload"]["status"])
        for each in world.bench.sent.bodies("RuntimeDeploymentStepChanged")
    ]


def test_a_first_release_takes_all_traffic_at_once_and_is_judged_by_absolute_limits() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        done = await world.release("one")

        assert done.status is DeploymentStatus.COMPLETED
        assert [(step.weight, step.verdict) for step in done.steps] == [(100, Verdict.PASS)]
        assert [gate.baseline for gate in world.health.asked] == [None]
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_the_second_goes_by_canary_and_the_old_one_drains() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        two = await world.release("two")

        assert steps(world)[2:] == [
            ("apply", 0, "RollingOut"),
            ("weight 10 %", 10, "RollingOut"),
            ("weight 50 %", 50, "RollingOut"),
            ("weight 100 %", 100, "RollingOut"),
        ]
        assert [(gate.weight, gate.baseline is None) for gate in world.health.asked[1:]] == [
            (10, False),
            (50, False),
            (100, True),
        ]
        assert two.previous_deployment_id == one.deployment_id
        assert world.live() == ({2: 1}, {2: 100})
        assert two.proof is not None
        assert two.proof.whole

    run_virtual(main())


def test_the_end_tells_the_whole_unit_with_its_proof() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        await world.release("one")

        (event,) = world.bench.sent.bodies("RuntimeDeploymentCompleted")
        (component,) = event["payload"]["releaseUnit"]["components"]
        assert event["projectId"] == "proj-shop"
        assert (component["releaseRevision"], component["endpoint"]) == (
            1,
            "http://module-shop.test/",
        )
        assert event["payload"]["proof"]["instances"][0]["digest"] == component["digest"]

    run_virtual(main())


async def three(world: Driven, content: str, **more: Any) -> Any:
    answer = await world.deploy(
        await world.component(f"web {content}", WEB, dependsOn=[SHOP, CART]),
        await world.component(f"shop {content}", SHOP, dependsOn=[CART]),
        await world.component(f"cart {content}", CART),
        **more,
    )
    await world.settle()
    return await world.deployment(answer["deploymentId"])


def test_components_are_applied_and_weighted_dependencies_first() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        done = await three(world, "one")

        assert done.order == (CART, SHOP, WEB)
        assert done.status is DeploymentStatus.COMPLETED
        assert [gate.module_id for gate in world.health.asked] == [WEB, SHOP, CART]
        assert all(world.live(module)[1] == {1: 100} for module in (CART, SHOP, WEB))

    run_virtual(main())


def test_one_bad_component_turns_the_whole_unit_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await three(world, "one")
        world.health.bad.add(await world.upload("shop two"))

        done = await three(world, "two")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert all(world.live(module) == ({1: 1}, {1: 100}) for module in (CART, SHOP, WEB))
        assert [hold.module_id for hold in done.holds] == [WEB, SHOP, CART]

    run_virtual(main())


def test_a_component_that_did_not_change_is_not_held_with_its_unit() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await three(world, "one")
        world.health.bad.add(await world.upload("shop two"))

        answer = await world.deploy(
            await world.component("cart one", CART), await world.component("shop two", SHOP)
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert [hold.module_id for hold in done.holds] == [SHOP]

    run_virtual(main())


def test_recreate_stops_the_old_version_before_the_new_one_starts() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        seen: list[dict[int, int]] = []
        world.interfere = lambda name: (
            seen.append(world.live()[0]) if name == "apply_candidate" else None
        )

        done = await world.release("two", strategy={"kind": "recreate"})

        assert seen == [{}]
        assert done.status is DeploymentStatus.COMPLETED
        assert [step.weight for step in done.steps] == [100]
        assert world.live() == ({2: 1}, {2: 100})

    run_virtual(main())


def test_a_recreate_that_fails_starts_the_old_version_again() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.bad.add(await world.upload("two"))

        done = await world.release("two", strategy={"kind": "recreate"})

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_instances_that_never_get_ready_are_not_waited_for_without_end() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.world.behaviours[await world.upload("two")] = Behaviour(becomes_ready=False)

        done = await world.release("two")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "NotReadyInTime"
        assert world.live() == ({1: 1}, {1: 100})
        assert world.health.asked[1:] == []

    run_virtual(main())


def test_instances_are_waited_for_as_long_as_the_reason_says_and_no_look_longer() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = Behaviour(becomes_ready=False)
        began = world.ctx.now()

        answer = await world.deploy(await world.component("one"))

        async def has_given_up() -> bool:
            return await world.status(answer["deploymentId"]) in {"RollingBack", "RolledBack"}

        await world.until(has_given_up)
        waited = world.ctx.now() - began
        assert timedelta(0) <= waited - world.app.rules.ready_within < timedelta(seconds=3)

    run_virtual(main())


def test_an_instance_that_is_something_else_than_recorded_is_not_completed() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.world.tampered.add("module-shop-2-0")

        done = await world.release("two")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "ProofFailed"
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_with_nothing_to_go_back_to_the_instances_are_removed_and_the_unit_is_empty() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.bad.add(await world.upload("one"))

        done = await world.release("one")

        (event,) = world.bench.sent.bodies("RuntimeDeploymentRolledBack")
        assert done.status is DeploymentStatus.ROLLED_BACK
        assert world.live() == ({}, {})
        assert event["payload"]["releaseUnit"]["components"] == []
        assert event["payload"]["releaseUnit"]["removed"] == [SHOP]
        assert event["payload"]["rejected"]["components"][0]["moduleId"] == SHOP

    run_virtual(main())


def test_a_removed_module_is_drained_after_the_others_are_judged() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await three(world, "one")

        answer = await world.deploy(await world.component("shop two", SHOP), remove=[WEB])
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"
        assert world.live(WEB) == ({}, {})
        assert (await world.target()).module(WEB).revision == 0  # type: ignore[arg-type]

    run_virtual(main())


@pytest.mark.parametrize("extra", [{}, {"release": {"path": "/version", "field": "v"}}])
def test_a_worker_without_a_port_gets_no_traffic_and_is_completed(extra: dict[str, Any]) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        for content in ("one", "two"):
            answer = await world.deploy(
                await world.component(content, port=None, componentType="worker", **extra)
            )
            await world.settle()
            assert await world.status(answer["deploymentId"]) == "Completed"

        assert world.live() == ({2: 1}, {})

    run_virtual(main())


def test_the_proofs_of_more_than_a_hundred_instances_are_kept_whole_in_a_blob() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        answer = await world.deploy(
            *[await world.component(module, module, replicas=50) for module in (SHOP, CART, WEB)]
        )
        await world.settle()

        proof = (await world.deployment(answer["deploymentId"])).proof
        assert proof is not None
        assert (len(proof.instances), proof.total) == (100, 150)
        assert proof.blob is not None
        name = f"proofs/{proof.blob.removeprefix('sha256:')}"
        assert await world.app.blobs.size(name)

    run_virtual(main())
