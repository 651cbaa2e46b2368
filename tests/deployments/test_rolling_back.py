"""RollbackDeployment undoes a Completed deployment by a new one, and interrupts an active one."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import Held, NoActiveHold, NotInForce, NotRollbackable
from function_apps.deployments.model import release_unit
from function_apps.deployments.use_cases.deploy import deploy
from function_apps.deployments.use_cases.release_hold import release_hold
from function_apps.deployments.use_cases.roll_back import plan_rollback
from shared.contracts.deployment_plans import RollbackPlan
from shared.contracts.deployments import (
    DeploymentKind,
    DeploymentReason,
    DeploymentStatus,
    RollbackDeployment,
)
from shared.contracts.gates import EvaluateGate
from shared.kernel.errors import Conflict
from shared.kernel.fence import StaleFence
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.deployments.test_cancelling import reached
from tests.kit.virtual_time import run_virtual


async def two_releases(world: Driven) -> tuple[str, str]:
    await world.tell()
    one = await world.release("one")
    two = await world.release("two")
    return one.deployment_id, two.deployment_id


async def release_held(world: Driven, deployment: str) -> None:
    await release_hold(deployment, DeploymentReason(), world.bench.ctx(), world.app)


def test_a_completed_one_is_undone_by_a_deployment_of_kind_rollback_without_a_canary() -> None:
    async def main() -> None:
        world = driven()
        one, two = await two_releases(world)
        asked = len(world.health.asked)

        answer = await world.rollback(two)
        await world.settle()

        undo = await world.deployment(answer["deploymentId"])
        first = await world.deployment(one)
        assert (undo.kind, undo.status) == (DeploymentKind.ROLLBACK, DeploymentStatus.COMPLETED)
        assert undo.rolled_back_deployment_id == two
        assert [step.weight for step in undo.steps] == [100]
        assert len(world.health.asked) == asked
        assert world.live() == ({3: 1}, {3: 100})
        assert undo.unit is not None
        assert first.unit is not None
        assert undo.unit.components[0].digest == first.unit.components[0].digest

    run_virtual(main())


def test_what_was_undone_is_held_until_it_is_released() -> None:
    async def main() -> None:
        world = driven()
        _, two = await two_releases(world)
        answer = await world.rollback(two)
        await world.settle()
        component = await world.component("two")

        with pytest.raises(Held, match=answer["deploymentId"]):
            await world.deploy(component)
        await release_held(world, answer["deploymentId"])
        again = await world.deploy(component)
        await world.settle()

        assert await world.status(again["deploymentId"]) == "Completed"

    run_virtual(main())


def test_a_hold_names_the_release_that_was_undone_and_not_the_one_that_came_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one", releaseRef="shop-1.1")
        two = await world.release("two", releaseRef="shop-leak2")

        answer = await world.rollback(two.deployment_id)
        await world.settle()

        (hold,) = (await world.deployment(answer["deploymentId"])).holds
        assert answer["releaseRef"] == "shop-1.1"
        assert (hold.deployment_id, hold.release_ref) == (two.deployment_id, "shop-leak2")

    run_virtual(main())


def test_an_automatic_rollback_holds_its_unit_and_the_refusal_says_how_to_go_on() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.bad.add(await world.upload("two"))
        bad = await world.release("two")

        with pytest.raises(Held, match=f"release-hold of {bad.deployment_id}"):
            await world.deploy(await world.component("two"))
        await release_held(world, bad.deployment_id)

        assert (await world.deployment(bad.deployment_id)).holds == ()
        with pytest.raises(NoActiveHold):
            await release_held(world, bad.deployment_id)

    run_virtual(main())


def test_a_queued_one_of_a_unit_that_is_held_meanwhile_fails_as_held() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.health.bad.add(await world.upload("two"))
        await world.deploy(await world.component("two"))
        queued = await world.deploy(
            await world.component("two"), await world.component("cart", CART)
        )

        await world.settle()

        done = await world.deployment(queued["deploymentId"])
        assert done.status is DeploymentStatus.FAILED
        assert done.reason is not None
        assert done.reason.code == "Held"

    run_virtual(main())


def test_the_only_release_is_not_rolled_back_and_keeps_serving() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")

        with pytest.raises(NotRollbackable, match=rf"first release .* `remove: \[{SHOP}\]`"):
            await world.rollback(one.deployment_id)
        await world.settle()

        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_after_an_automatic_rollback_the_release_that_was_kept_is_not_rolled_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        world.health.bad.add(await world.upload("two"))
        await world.release("two")

        with pytest.raises(NotRollbackable, match="first release"):
            await world.rollback(one.deployment_id)

        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_one_that_is_named_is_gone_back_to() -> None:
    async def main() -> None:
        world = driven()
        one, _ = await two_releases(world)
        three = await world.release("three")

        answer = await world.rollback(three.deployment_id, toDeploymentId=one)
        await world.settle()

        undo = await world.deployment(answer["deploymentId"])
        first = await world.deployment(one)
        assert undo.unit is not None
        assert first.unit is not None
        assert undo.unit.components[0].digest == first.unit.components[0].digest

    run_virtual(main())


def test_a_deployment_is_not_gone_back_to_by_its_own_rollback() -> None:
    async def main() -> None:
        world = driven()
        _, two = await two_releases(world)

        with pytest.raises(NotRollbackable, match="name an earlier deployment"):
            await world.rollback(two, toDeploymentId=two)

    run_virtual(main())


def test_a_rollback_to_something_else_is_no_repeat_of_the_one_on_its_way() -> None:
    async def main() -> None:
        world = driven()
        one, two = await two_releases(world)
        three = await world.release("three")
        first = await world.rollback(three.deployment_id, toDeploymentId=one)

        with pytest.raises(NotRollbackable, match=first["deploymentId"]):
            await world.rollback(three.deployment_id, toDeploymentId=two)
        again = await world.rollback(three.deployment_id, toDeploymentId=one)

        assert again["deploymentId"] == first["deploymentId"]

    run_virtual(main())


@pytest.mark.parametrize("activity", ["start_rollout", "check_ready"])
def test_one_on_its_way_goes_back_to_what_is_in_force_and_to_nothing_else(activity: str) -> None:
    async def main() -> None:
        world = driven()
        one, two = await two_releases(world)
        world.halt_at = activity
        answer = await world.deploy(await world.component("three"))
        await world.until(world.is_halted)

        with pytest.raises(NotRollbackable, match=f"brings back {two}"):
            await world.rollback(answer["deploymentId"], toDeploymentId=one)
        await world.rollback(answer["deploymentId"], toDeploymentId=two)
        world.go_on()
        await world.settle()

        assert (await world.target()).module(SHOP).by == two

    run_virtual(main())


def test_asked_twice_it_is_one_rollback() -> None:
    async def main() -> None:
        world = driven()
        _, two = await two_releases(world)

        first = await world.rollback(two)
        second = await world.rollback(two)

        assert first["deploymentId"] == second["deploymentId"]

    run_virtual(main())


def test_what_is_not_in_force_any_more_is_not_rolled_back() -> None:
    async def main() -> None:
        world = driven()
        one, two = await two_releases(world)

        with pytest.raises(NotInForce, match=two):
            await world.rollback(one)

    run_virtual(main())


def test_what_has_ended_otherwise_is_not_rolled_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.bad.add(await world.upload("one"))
        done = await world.release("one")

        with pytest.raises(NotRollbackable, match="RolledBack"):
            await world.rollback(done.deployment_id)

    run_virtual(main())


@pytest.mark.parametrize(
    "state",
    [
        DeploymentStatus.ROLLING_OUT,
        DeploymentStatus.HEALTH_GATING,
        DeploymentStatus.PROMOTING,
    ],
)
def test_an_active_one_is_interrupted_and_the_interrupted_rollout_changes_nothing_more(
    state: DeploymentStatus,
) -> None:
    async def main() -> None:
        world = driven()
        identity = await reached(world, state)
        before = await world.deployment(identity)

        await world.rollback(identity, reason="we saw something")
        world.go_on()
        await world.settle()

        done = await world.deployment(identity)
        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.token > before.token
        assert done.operation_id != before.operation_id
        assert done.reason is not None
        assert done.reason.message == "we saw something"
        assert [hold.module_id for hold in done.holds] == [SHOP]
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_a_write_of_the_interrupted_rollout_that_comes_late_is_refused_outside() -> None:
    async def main() -> None:
        from shared.kernel.fence import Fence

        world = driven()
        identity = await reached(world, DeploymentStatus.HEALTH_GATING)
        stale = await world.deployment(identity)
        await world.rollback(identity)
        world.go_on()
        await world.settle()
        unit = stale.candidate(SHOP)
        assert unit is not None
        spec = release_unit.to_revision_spec(
            unit, stale.environment_id, stale.tenant_id, world.app.rules.rollout
        )
        (surface,) = world.app.surfaces.values()

        with pytest.raises(StaleFence):
            await surface.apply(spec, Fence(stale.token, stale.operation_id, "late"))

        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_what_was_undone_already_is_not_undone_again() -> None:
    async def main() -> None:
        world = driven()
        _, two = await two_releases(world)
        back = await world.rollback(two)
        await world.settle()

        with pytest.raises(NotInForce, match=back["deploymentId"]):
            await world.rollback(two)

    run_virtual(main())


def test_a_removal_of_the_only_release_brought_back_is_the_first_again() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        removal = await deploy(await world.command(remove=[SHOP]), world.bench.ctx(), world.app)
        await world.settle()
        back = await world.rollback(removal.value["deploymentId"])
        await world.settle()

        with pytest.raises(NotRollbackable, match="first release"):
            await world.rollback(back["deploymentId"])

    run_virtual(main())


def test_a_removal_is_undone_by_bringing_the_module_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        command = await world.command(remove=[SHOP])
        removal = await deploy(command, world.bench.ctx(), world.app)
        await world.settle()
        assert world.live() == ({}, {})

        await world.rollback(removal.value["deploymentId"])
        await world.settle()

        assert world.live() == ({2: 1}, {2: 100})

    run_virtual(main())


def test_traffic_goes_back_to_a_version_that_somebody_changed_and_scaled_in() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.deploy(await world.component("one", replicas=2))
        await world.settle()
        two = await world.component("two", replicas=2)
        world.health.bad.add(two["artifactDigest"])
        state = world.world.component(world.surface_component(SHOP))

        async def tamper(_gate: EvaluateGate) -> None:
            first = state.revisions[1]
            environ = {**first.spec.environ, "ADDED": "by hand"}
            first.spec = replace(first.spec, environ=environ, replicas=1)
            first.instances[:] = first.instances[:1]

        world.at_gate = tamper
        identity = (await world.deploy(two))["deploymentId"]
        await world.settle()

        assert (await world.deployment(identity)).status == "RolledBack"
        assert (state.weights, [*state.revisions]) == ({1: 100}, [1])
        assert len(state.revisions[1].instances) == 2

    run_virtual(main())


async def planned(world: Driven, deployment: str, **more: Any) -> RollbackPlan:
    """Return what a dry run of a rollback answers, which changes nothing."""
    before = await world.target()
    command = RollbackDeployment.model_validate({"deploymentId": deployment, **more})
    plan = await plan_rollback(command, world.ctx, world.app)
    assert await world.target() == before
    return plan


def test_a_dry_run_of_a_rollback_says_what_its_request_does_and_changes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one", releaseRef="shop-1")
        two = await world.release("two", releaseRef="shop-2")

        plan = await planned(world, two.deployment_id)
        answer = await world.rollback(two.deployment_id)

        shown = plan.model_dump(mode="json", by_alias=True, exclude={"restores", "removals"})
        assert shown == {name: answer[name] for name in shown}
        assert (plan.release_ref, plan.taken_back.release_ref) == ("shop-1", "shop-2")

    run_virtual(main())


def test_a_rollback_that_is_asked_for_twice_names_the_release_that_comes_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one", releaseRef="shop-1")
        two = await world.release("two", releaseRef="shop-2")

        first = await world.rollback(two.deployment_id)
        again = await world.rollback(two.deployment_id)
        plan = await planned(world, two.deployment_id)

        assert (again, again["releaseRef"], plan.release_ref) == (first, "shop-1", "shop-1")

    run_virtual(main())


def test_a_dry_run_of_a_rollback_says_what_is_in_force_then_and_what_is_taken_away() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two, cart = await world.component("two"), await world.component("one", CART)
        world.halt_at = "check_ready"
        asked = await world.deploy(two, cart)
        waiting = await planned(world, asked["deploymentId"])
        await world.until(world.is_halted)
        on_its_way = await planned(world, asked["deploymentId"])
        world.go_on()
        await world.settle()

        plan = await planned(world, asked["deploymentId"])

        version = (await world.component("one"))["version"]
        stays = {"moduleId": SHOP, "version": version, "startsAgain": False, "releaseRef": None}
        back = {**stays, "releaseRef": "r"}
        removed = {"moduleId": CART, "version": cart["version"]}
        waits, halfway, done = (
            each.model_dump(mode="json", by_alias=True) for each in (waiting, on_its_way, plan)
        )
        restored = [each["restores"] for each in (waits, halfway, done)]
        assert restored == [[stays], [stays], [back]]
        assert waits["removals"] == []
        assert halfway["removals"] == [{**removed, "releaseRevision": None}]
        assert done["removals"] == [{**removed, "releaseRevision": 1}]

    run_virtual(main())


def test_a_rollback_to_a_release_of_more_modules_says_that_the_others_stay() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        both = await world.deploy(
            await world.component("one"), await world.component("one", CART), releaseRef="all-1"
        )
        await world.settle()
        await world.deploy(await world.component("two", CART))
        two = await world.release("two")
        goal = {"toDeploymentId": both["deploymentId"]}

        plan = await planned(world, two.deployment_id, **goal)
        answer = await world.rollback(two.deployment_id, **goal)

        said = f"what {two.deployment_id} did not change of all-1 stays as it is: {CART}"
        assert (plan.warnings, answer["warnings"]) == ((said,), [said])

    run_virtual(main())


def test_a_dry_run_of_a_rollback_is_refused_as_its_request() -> None:
    async def main() -> None:
        world = driven()
        one, two = await two_releases(world)

        cases: list[tuple[str, dict[str, str]]] = [(one, {}), (two, {"toDeploymentId": two})]
        for deployment, more in cases:
            with pytest.raises(Conflict) as dry:
                await planned(world, deployment, **more)
            with pytest.raises(Conflict) as real:
                await world.rollback(deployment, **more)
            assert (dry.value.code, dry.value.message) == (real.value.code, real.value.message)

    run_virtual(main())
