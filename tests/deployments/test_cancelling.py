"""A deployment can be stopped in every state: at once before anything was applied, else back."""

import pytest

from function_apps.deployments.errors import NotCancellable
from function_apps.deployments.model.lifecycle import ENDINGS, TRANSITIONS
from function_apps.deployments.triggers import CONTROLS
from function_apps.deployments.use_cases.abandon_operation import abandon_rollout
from function_apps.deployments.use_cases.cancel import cancel_operation
from function_apps.deployments.use_cases.plan_cancel import plan_cancel
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.deployments import Cancellation, DeploymentReason, DeploymentStatus
from shared.durable.operations import OPERATIONS as STORED_OPERATIONS
from shared.kernel.operation import OperationAlreadyEnded
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.kit.virtual_time import run_virtual

ACTIVE = [state for state in TRANSITIONS.rows if state not in ENDINGS]
AT = {
    DeploymentStatus.PROVISIONING: "pin_release_unit",
    DeploymentStatus.CONFIGURING: "begin_rollout",
    DeploymentStatus.ROLLING_OUT: "shift_traffic",
    DeploymentStatus.HEALTH_GATING: "check_analysis",
    DeploymentStatus.PROMOTING: "complete_release",
    DeploymentStatus.ROLLING_BACK: "remove_candidate",
}
"""A step before which the deployment is in that state."""


async def reached(world: Driven, state: DeploymentStatus) -> str:
    """Return a deployment that is about to take the step of *state*, and stands there."""
    await world.tell()
    await world.release("one")
    if state is DeploymentStatus.ROLLING_BACK:
        world.health.bad.add(await world.upload("two"))
    world.halt_at = AT.get(state, "start_rollout")
    answer = await world.deploy(await world.component("two"))
    await world.until(world.is_halted)
    assert await world.status(answer["deploymentId"]) == state
    return str(answer["deploymentId"])


@pytest.mark.parametrize("state", ACTIVE)
def test_in_every_state_what_was_in_force_stays_or_comes_back(state: DeploymentStatus) -> None:
    async def main() -> None:
        world = driven()
        identity = await reached(world, state)

        await world.cancel(identity)
        world.go_on()
        await world.settle()

        done = await world.deployment(identity)
        before = state in {
            DeploymentStatus.REQUESTED,
            DeploymentStatus.PROVISIONING,
            DeploymentStatus.CONFIGURING,
        }
        assert done.status == ("Cancelled" if before else "RolledBack")
        assert world.live() == ({1: 1}, {1: 100})
        assert (await world.target()).queue == ()
        assert await all_ended(world)

    run_virtual(main())


@pytest.mark.parametrize(
    ("state", "is_taken_away"),
    [(DeploymentStatus.PROVISIONING, False), (DeploymentStatus.HEALTH_GATING, True)],
)
def test_a_dry_run_says_what_stays_and_what_goes_and_stops_nothing(
    state: DeploymentStatus, *, is_taken_away: bool
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.halt_at = AT[state]
        cart = await world.component("one", CART)
        asked = await world.deploy(await world.component("two"), cart)
        identity = str(asked["deploymentId"])
        await world.until(world.is_halted)

        plan = await plan_cancel(identity, Cancellation(), world.ctx, world.app)

        assert await world.status(identity) == state
        assert [each.module_id for each in plan.restores] == [SHOP]
        assert [each.module_id for each in plan.removals] == [CART] * is_taken_away
        assert (plan.taken_back.deployment_id, plan.release_ref) == (identity, None)
        world.go_on()
        await world.settle()

    run_virtual(main())


def test_a_dry_run_is_refused_as_its_request() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        done = await world.release("one")

        with pytest.raises(NotCancellable) as dry:
            await plan_cancel(done.deployment_id, Cancellation(), world.ctx, world.app)
        with pytest.raises(NotCancellable) as real:
            await world.cancel(done.deployment_id)

        assert dry.value.message == real.value.message

    run_virtual(main())


async def all_ended(world: Driven) -> bool:
    """Return whether every operation has come to its end."""
    found = await world.rows("operation")
    return all(STORED_OPERATIONS.decode(row.body).is_terminal for row in found)


@pytest.mark.parametrize("state", [DeploymentStatus.ROLLING_OUT, DeploymentStatus.HEALTH_GATING])
def test_a_cancelled_deployment_leaves_no_hold(state: DeploymentStatus) -> None:
    async def main() -> None:
        world = driven()
        identity = await reached(world, state)

        await world.cancel(identity)
        world.go_on()
        await world.settle()

        assert (await world.deployment(identity)).holds == ()
        assert (await world.target()).holds == {}

    run_virtual(main())


def test_one_that_waits_in_a_line_is_cancelled_at_once() -> None:
    async def main() -> None:
        world = driven()
        await reached(world, DeploymentStatus.HEALTH_GATING)
        queued = await world.deploy(await world.component("three"))

        answer = await world.cancel(queued["deploymentId"])

        assert queued["waitingFor"] == "queue"
        assert answer["status"] == "Cancelled"
        assert [one.token for one in (await world.target()).queue] == [2]

    run_virtual(main())


@pytest.mark.parametrize("ending", ["Completed", "RolledBack"])
def test_one_that_has_ended_is_not_cancelled(ending: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        if ending == "RolledBack":
            world.health.bad.add(await world.upload("one"))
        done = await world.release("one")
        assert done.status == ending

        with pytest.raises(NotCancellable, match=ending):
            await world.cancel(done.deployment_id)

    run_virtual(main())


@pytest.mark.parametrize("state", [DeploymentStatus.PROVISIONING, DeploymentStatus.HEALTH_GATING])
def test_a_cancelled_operation_cancels_its_deployment(state: DeploymentStatus) -> None:
    async def main() -> None:
        world = driven()
        identity = await reached(world, state)

        await ask_to_cancel(world, identity)
        world.go_on()
        await world.settle()

        done = await world.deployment(identity)
        expected = "Cancelled" if state is DeploymentStatus.PROVISIONING else "RolledBack"
        assert (done.status, done.holds) == (expected, ())
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


async def ask_to_cancel(world: Driven, deployment: str) -> None:
    """Do what POST /operations/{id}/cancel does."""
    operation = await world.operation(deployment)
    control = CONTROLS[operation.kind]
    assert not isinstance(control.cancel, str)
    await control.cancel(operation, world.ctx, world.app)


async def retried(world: Driven) -> tuple[str, str]:
    """Return a deployment whose first operation was given up, and that operation."""
    await world.tell()
    world.halt_at = "shift_traffic"
    answer = await world.deploy(await world.component("one"))
    await world.until(world.is_halted)
    identity, first = str(answer["deploymentId"]), str(answer["operationId"])
    await abandon_rollout(await world.operation_of(first), world.ctx, world.app)
    await world.drop_running()
    await retry(identity, DeploymentReason(reason=""), world.ctx, world.app)
    return identity, first


def test_an_operation_that_has_ended_cancels_nothing_of_its_successor() -> None:
    async def main() -> None:
        world = driven()
        identity, first = await retried(world)
        before = await world.deployment(identity)

        with pytest.raises(OperationAlreadyEnded):
            await cancel_operation(await world.operation_of(first), world.ctx, world.app)

        assert await world.deployment(identity) == before

    run_virtual(main())


def test_the_operation_of_a_completed_deployment_has_ended() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        done = await world.release("one")

        operation = await world.operation(done.deployment_id)
        with pytest.raises(OperationAlreadyEnded):
            await cancel_operation(operation, world.ctx, world.app)

    run_virtual(main())
