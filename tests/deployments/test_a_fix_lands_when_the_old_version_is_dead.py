"""A rollout goes by what ready capacity allows: a fix lands when what is in force is dead or short.

A rollback never takes away what still serves, and never waits for a version that is dead.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from shared.contracts.deployments import DeploymentStatus
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.open_alerts import require_listed
from tests.kit.virtual_time import run_virtual

DEAD = Behaviour(becomes_ready=False)


async def one_in_force(world: Driven, **changes: Any) -> str:
    await world.tell()
    answer = await world.deploy(await world.component("one", **changes))
    await world.settle()
    return str(answer["deploymentId"])


async def dies(world: Driven, content: str) -> None:
    """Let every instance of *content* fail its readiness from now on."""
    world.world.behaviours[await world.upload(content)] = DEAD


async def released(world: Driven, content: str, **changes: Any) -> Any:
    answer = await world.deploy(await world.component(content, **changes))
    await world.settle()
    return await world.deployment(answer["deploymentId"])


def weights(world: Driven) -> Mapping[int, int]:
    return world.live()[1]


def at_step(world: Driven, activity: str, count: int, act: Any) -> None:
    """Call *act* before the *count*-th run of *activity*."""
    seen = 0

    def interfere(name: str) -> None:
        nonlocal seen
        seen += name == activity
        if seen == count and name == activity:
            act()

    world.interfere = interfere


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_old_version_is_dead_from_the_start_and_the_fix_lands(replicas: int) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world, replicas=replicas)
        await dies(world, "one")

        done = await released(world, "two", replicas=replicas)

        assert done.status is DeploymentStatus.COMPLETED
        assert world.live() == ({2: replicas}, {2: 100})

    run_virtual(main())


def test_a_step_whose_weight_is_not_kept_says_so_and_is_judged_by_absolute_limits() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")

        done = await released(world, "two")

        shown = await world.shown(done.deployment_id)
        first = shown.steps[0]
        assert (first.weight, [share.weight for share in first.shares]) == (10, [100])
        assert "0 of 1 instances of revision 1" in first.shares[0].reason
        assert [(gate.weight, gate.baseline) for gate in world.health.asked[1:]] == [
            (100, None)
        ] * 3

    run_virtual(main())


def test_the_share_is_told_before_it_acts() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        await released(world, "two")

        told = world.bench.sent.bodies("RuntimeDeploymentStepChanged")
        assert ("weight 10 %", 100) in [
            (each["payload"]["name"], each["payload"]["weight"]) for each in told
        ]

    run_virtual(main())


def test_the_old_version_dies_during_the_canary_and_the_fix_lands() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        digest = await world.upload("one")
        at_step(world, "request_analysis", 1, lambda: world.world.behaviours.update({digest: DEAD}))

        done = await released(world, "two")

        assert done.status is DeploymentStatus.COMPLETED
        assert world.live() == ({2: 1}, {2: 100})

    run_virtual(main())


def test_traffic_leaves_a_version_that_dies_while_its_successor_is_judged() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        world.health.silent.add(await world.upload("two"))
        answer = await world.deploy(
            await world.component("two"), gate={"deadline": "PT1H", "onInconclusive": "pass"}
        )
        world.begin()
        await world.app.service.clock.sleep(60)
        assert weights(world) == {1: 90, 2: 10}

        await dies(world, "one")
        await world.app.service.clock.sleep(90)

        assert weights(world) == {2: 100}
        shown = await world.shown(answer["deploymentId"])
        assert (shown.status, shown.weight) == ("HealthGating", 100)

    run_virtual(main())


@pytest.mark.parametrize("pause", ["PT10M", "PT12H"])
def test_traffic_leaves_a_version_that_dies_during_the_pause_of_a_step(pause: str) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        steps = [{"weight": 20, "pause": pause}, {"weight": 100}]
        await world.deploy(await world.component("two"), strategy={"steps": steps})
        world.begin()
        await world.app.service.clock.sleep(60)
        assert weights(world) == {1: 80, 2: 20}

        await dies(world, "one")
        await world.app.service.clock.sleep(240)

        assert weights(world) == {2: 100}

    run_virtual(main())


def test_a_version_that_restarts_once_keeps_its_traffic() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        component = world.surface_component(SHOP)
        at_step(world, "shift_traffic", 1, lambda: world.world.crash(component, "module-shop-1-0"))

        done = await released(world, "two")

        assert [step.shares for step in done.steps] == [(), (), ()]

    run_virtual(main())


def test_of_three_instances_one_is_left_and_the_canary_takes_what_it_cannot_carry() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world, replicas=3)
        world.world.lost |= {"module-shop-1-1", "module-shop-1-2"}
        seen: list[Mapping[int, int]] = []
        world.interfere = lambda name: (
            seen.append(weights(world)) if name == "request_analysis" else None
        )

        done = await released(world, "two", replicas=3)

        assert done.status is DeploymentStatus.COMPLETED
        assert seen == [{1: 33, 2: 67}, {1: 33, 2: 67}, {2: 100}]
        assert [share.weight for share in done.steps[0].shares] == [67]

    run_virtual(main())


def test_fewer_replicas_than_before_land_whether_the_old_ones_are_ready_or_not() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world, replicas=3)
        done = await released(world, "two", replicas=1)
        assert done.status is DeploymentStatus.COMPLETED
        await dies(world, "two")

        done = await released(world, "three", replicas=1)

        assert done.status is DeploymentStatus.COMPLETED
        assert world.live() == ({3: 1}, {3: 100})

    run_virtual(main())


def test_a_rollback_by_name_lands_when_what_is_in_force_is_dead() -> None:
    async def main() -> None:
        world = driven()
        one = await one_in_force(world)
        two = await released(world, "two")
        await dies(world, "two")

        answer = await world.rollback(two.deployment_id, toDeploymentId=one)
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"
        assert world.live() == ({3: 1}, {3: 100})

    run_virtual(main())


# The way back.


async def rejected(world: Driven, content: str = "two", **changes: Any) -> Any:
    """Release *content*, whose gate fails."""
    world.health.bad.add(await world.upload(content))
    return await released(world, content, **changes)


def turned_back_after_s(world: Driven, done: Any) -> float:
    (told,) = [
        each
        for each in world.bench.sent.bodies("RuntimeDeploymentStepChanged")
        if each["payload"]["name"] == "roll back"
    ]
    began = datetime.fromisoformat(told["occurredAt"])
    return float((done.ended_at - began).total_seconds())


def test_with_nothing_to_go_back_to_the_traffic_stays_and_it_ends_at_once_and_held() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")

        done = await rejected(world)

        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "NothingToGoBackTo")
        assert weights(world) == {2: 100}
        assert [hold.module_id for hold in done.holds] == [SHOP]
        assert turned_back_after_s(world, done) < 30
        assert "the gate of module-shop said Fail" in done.reason.message
        assert "the traffic is on revision 2 (100 %)" in done.remaining[0]
        assert done.reason.evidence

    run_virtual(main())


def test_what_stays_may_be_scaled_by_rules_of_its_surface() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        world.health.bad.add(await world.upload("two"))
        workload = world.surface_component(SHOP)

        def scale_by_rules() -> None:
            revision = world.world.component(workload).revisions[2]
            revision.scaling = ScalingRules(1, 3, (UtilizationRule(Measure.CPU, 50),))

        at_step(world, "remove_candidate", 1, scale_by_rules)
        done = await released(world, "two")

        assert done.reason is not None
        assert done.reason.code == "NothingToGoBackTo"
        assert not any("rules" in sentence for sentence in done.remaining)
        assert weights(world) == {2: 100}

    run_virtual(main())


def test_an_alert_is_raised_and_cleared_by_the_release_that_lands() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        await rejected(world)

        (raised,) = world.bench.sent.bodies("RuntimeAlertRaised")
        assert raised["payload"]["alert"] == "NothingToGoBackTo"
        assert raised["payload"]["serviceId"].startswith("svc-")
        assert world.bench.sent.bodies("RuntimeAlertCleared") == []
        await require_listed(world.bench, "NothingToGoBackTo")
        await released(world, "three")

        (cleared,) = world.bench.sent.bodies("RuntimeAlertCleared")
        assert cleared["payload"]["aggregateId"] == raised["payload"]["aggregateId"]
        assert cleared["payload"]["revision"] > raised["payload"]["revision"]
        assert cleared["payload"]["raisedAt"] == raised["payload"]["raisedAt"]
        await require_listed(world.bench)

    run_virtual(main())


def test_a_fix_lands_after_a_rollback_that_had_nothing_to_go_back_to() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        await rejected(world)

        done = await released(world, "three")

        assert done.status is DeploymentStatus.COMPLETED
        assert world.live() == ({3: 1}, {3: 100})

    run_virtual(main())


def test_a_second_bad_fix_leaves_the_traffic_on_what_served_before_it() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        await rejected(world, "two")

        done = await rejected(world, "three")

        assert done.reason.code == "NothingToGoBackTo"
        assert weights(world) == {2: 100}
        assert 3 not in world.live()[0]

    run_virtual(main())


def test_a_rollback_whose_previous_version_is_dead_and_whose_own_never_starts_ends_soon() -> None:
    async def main() -> None:
        world = driven()
        one = await one_in_force(world)
        two = await released(world, "two")
        await dies(world, "two")
        await dies(world, "one")

        answer = await world.rollback(two.deployment_id, toDeploymentId=one)
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "NothingToGoBackTo")
        assert weights(world) == {2: 100}
        assert turned_back_after_s(world, done) < 60

    run_virtual(main())


def test_a_version_that_never_starts_beside_a_dead_one_leaves_the_weights_alone() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        await dies(world, "two")

        done = await released(world, "two")

        assert done.reason.code == "NothingToGoBackTo"
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_a_previous_version_that_lost_instances_takes_back_what_it_carries() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world, replicas=3)
        world.world.lost |= {"module-shop-1-1", "module-shop-1-2"}

        done = await rejected(world, replicas=3)

        assert done.status is DeploymentStatus.FAILED
        assert done.reason.code == "GateFailed"
        assert weights(world) == {1: 33, 2: 67}
        assert [hold.module_id for hold in done.holds] == [SHOP]

    run_virtual(main())


def test_a_previous_version_whose_instances_come_back_takes_all_back() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world, replicas=3)
        at_step(world, "begin_rollback", 1, lambda: world.world.lost.add("module-shop-1-1"))
        world.health.bad.add(await world.upload("two"))
        answer = await world.deploy(await world.component("two", replicas=3))
        world.begin()

        async def is_back() -> bool:
            return await world.status(answer["deploymentId"]) == "RollingBack"

        await world.until(is_back)
        asyncio.get_running_loop().call_later(60, world.world.lost.clear)
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "RolledBack"
        assert world.live() == ({1: 3}, {1: 100})

    run_virtual(main())


def test_what_a_recreate_stopped_is_waited_for_when_it_starts_again() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        world.world.behaviours[await world.upload("one")] = Behaviour(start_s=120.0)
        world.health.bad.add(await world.upload("two"))

        answer = await world.deploy(await world.component("two"), strategy={"kind": "recreate"})
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "RolledBack"
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_a_worker_beside_a_dead_one_stays() -> None:
    async def main() -> None:
        world = driven()
        worker: dict[str, Any] = {"port": None, "componentType": "worker"}
        await one_in_force(world, **worker)
        await dies(world, "one")

        done = await rejected(world, **worker)

        assert done.reason.code == "NothingToGoBackTo"
        assert world.live()[0] == {1: 1, 2: 1}

    run_virtual(main())


def test_of_two_modules_the_one_that_can_go_back_does() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.deploy(await world.component("one"), await world.component("cart", CART))
        await world.settle()
        await dies(world, "one")
        world.health.bad.add(await world.upload("cart 2"))

        answer = await world.deploy(
            await world.component("two"), await world.component("cart 2", CART)
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "NothingToGoBackTo")
        assert weights(world) == {2: 100}
        assert world.live(CART) == ({1: 1}, {1: 100})
        assert done.proof is not None
        assert [each.module_id for each in done.proof.instances] == [CART]

    run_virtual(main())


def test_a_cancelled_rollout_over_a_dead_version_keeps_serving_and_is_not_held() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await dies(world, "one")
        world.health.silent.add(await world.upload("two"))
        answer = await world.deploy(await world.component("two"))

        async def serves() -> bool:
            return weights(world) == {2: 100}

        await world.until(serves)
        await world.cancel(answer["deploymentId"])
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        operation = await world.operation(answer["deploymentId"])
        assert done.reason is not None
        assert (done.reason.code, done.holds) == ("NothingToGoBackTo", ())
        assert operation.error is not None
        assert operation.error["code"] == "NothingToGoBackTo"
        assert weights(world) == {2: 100}

    run_virtual(main())
