"""Whatever step fails, the end is clean; whatever step runs twice, nothing differs."""

from collections.abc import Callable
from typing import Any

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.use_cases.record_gate_evidence import record_gate_evidence
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.gates import EvaluateGate, Verdict
from shared.durable.operations import WAITING_TIMEOUT
from shared.durable.recovery import Recovery
from shared.kernel.errors import Refused, Unavailable
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.kit.virtual_time import run_virtual

FORWARD = (
    "check_environment",
    "pin_release_unit",
    "begin_rollout",
    "apply_candidate",
    "check_ready",
    "begin_step",
    "shift_traffic",
    "request_analysis",
    "check_analysis",
    "begin_promotion",
    "drain_previous",
    "check_drained",
    "complete_release",
)
BEFORE_APPLIED = {"check_environment", "pin_release_unit", "begin_rollout"}


async def two_in_force(world: Driven) -> None:
    await world.tell()
    await world.deploy(
        await world.component("shop one", SHOP, dependsOn=[CART]),
        await world.component("cart one", CART),
    )
    await world.settle()


async def upgrade(world: Driven, **more: Any) -> Deployment:
    answer = await world.deploy(
        await world.component("shop two", SHOP, dependsOn=[CART]),
        await world.component("cart two", CART),
        **more,
    )
    await world.settle()
    return await world.deployment(answer["deploymentId"])


PROBLEMS = {
    "refused": Refused("not like this", code="NotLikeThis"),
    "away": Unavailable("the surface is away"),
    "a-defect": ZeroDivisionError("division by zero"),
}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("step", FORWARD)
def test_a_step_that_fails_for_good_leaves_what_was_in_force(step: str, problem: Exception) -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)

        def fail(name: str) -> None:
            if name == step:
                raise problem

        world.interfere = _forward_only(world, fail)
        done = await upgrade(world)

        expected = "Failed" if step in BEFORE_APPLIED else "RolledBack"
        assert (done.status, done.remaining) == (expected, ())
        assert [world.live(module) for module in (SHOP, CART)] == [({1: 1}, {1: 100})] * 2
        target = await world.target()
        assert target.queue == ()
        assert {line.revision for line in target.modules.values()} == {1}
        operation = await world.operation(done.deployment_id)
        assert operation.status == "Failed"
        assert operation.error is not None

    run_virtual(main())


def _forward_only(world: Driven, fail: Callable[[str], None]) -> Callable[[str], None]:
    """Let steps fail on the way forward; `check_drained` is a step of the way back too."""

    def interfere(name: str) -> None:
        if "begin_rollback" not in world.contexts[-1].asked:
            fail(name)

    return interfere


@pytest.mark.parametrize("step", FORWARD)
def test_a_step_that_is_away_for_a_while_only_costs_time(step: str) -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)
        left = 4

        def fail(name: str) -> None:
            nonlocal left
            if name == step and left:
                left -= 1
                raise Unavailable("the surface is away")

        world.interfere = fail
        done = await upgrade(world)

        assert left == 0
        assert done.status == "Completed"
        assert [world.live(module) for module in (SHOP, CART)] == [({2: 1}, {2: 100})] * 2

    run_virtual(main())


@pytest.mark.parametrize("step", ["restore_previous", "remove_candidate", "finish_rollback"])
def test_a_way_back_that_is_away_for_a_while_still_ends_clean(step: str) -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)
        world.health.bad.add(await world.upload("shop two"))
        left = 4

        def fail(name: str) -> None:
            nonlocal left
            if name == step and left:
                left -= 1
                raise Unavailable("the surface is away")

        world.interfere = fail
        done = await upgrade(world)

        assert left == 0
        assert (done.status, done.remaining) == ("RolledBack", ())
        assert [world.live(module) for module in (SHOP, CART)] == [({1: 1}, {1: 100})] * 2

    run_virtual(main())


def test_what_cannot_be_brought_back_is_said_and_the_rest_is_brought_back() -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)
        world.health.bad.add(await world.upload("shop two"))
        seen = 0

        def fail(name: str) -> None:
            nonlocal seen
            if name == "restore_previous":
                seen += 1
                if seen == 1:
                    raise Refused("it will not", code="WillNot")

        world.interfere = fail
        done = await upgrade(world)

        assert done.status == "Failed"
        shown = await world.shown(done.deployment_id)
        assert "module-shop: it will not" in shown.remaining[0]
        assert world.live(CART) == ({1: 1}, {1: 100})
        assert (await world.target()).queue == ()
        (event,) = world.bench.sent.bodies("RuntimeDeploymentFailed")
        assert event["payload"]["remaining"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("bad", "more"),
    [
        pytest.param("", {}, id="forward"),
        pytest.param("shop two", {}, id="back"),
        pytest.param("", {"strategy": {"kind": "recreate"}}, id="recreate"),
        pytest.param("shop two", {"strategy": {"kind": "recreate"}}, id="recreate-and-back"),
        pytest.param("", {"hold": True}, id="turned-down"),
        pytest.param("", {"decommission": True}, id="drained"),
    ],
)
def test_every_activity_run_twice_answers_the_same_and_ends_the_same(
    bad: str, more: dict[str, Any]
) -> None:
    async def main(*, twice: bool) -> tuple[object, ...]:
        # Longer than a drain, so that one look answers what the next would.
        world = driven(rules=DeploymentsRules(observe_for_s=60))
        world.twice = twice
        await two_in_force(world)
        if bad:
            world.health.bad.add(await world.upload(bad))
        if more.get("hold"):
            world.interfere = _held_meanwhile(world)
        strategy = {"strategy": more["strategy"]} if "strategy" in more else {}
        done = await upgrade(world, **strategy)
        if more.get("decommission"):
            await world.tell(EnvironmentStatus.DECOMMISSIONING)
            await world.settle()
        target = await world.target()
        types = list(world.bench.sent.types())
        return (
            done.status,
            [step.verdict for step in done.steps],
            world.live(SHOP),
            world.live(CART),
            {name: line.revision for name, line in target.modules.items()},
            types,
        )

    assert run_virtual(main(twice=True)) == run_virtual(main(twice=False))


def _held_meanwhile(world: Driven) -> Callable[[str], None]:
    def interfere(name: str) -> None:
        if name == "pin_release_unit" and world.contexts[-1].asked.count("pin_release_unit"):
            raise Refused("held meanwhile", code="Held")

    return interfere


def test_a_rollout_whose_history_is_lost_goes_on_from_stored_state() -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)
        world.health.silent |= {await world.upload("shop two"), await world.upload("cart two")}
        answer = await world.deploy(
            await world.component("shop two", SHOP, dependsOn=[CART]),
            await world.component("cart two", CART),
        )
        identity = answer["deploymentId"]

        async def is_gating() -> bool:
            return await world.status(identity) == "HealthGating"

        await world.until(is_gating)
        await world.drop_running()
        world.health.silent.clear()
        await world.app.service.clock.sleep(WAITING_TIMEOUT.total_seconds() + 1)

        found = await recovered(world)
        for gate in list(world.health.asked):
            await _answer(world, gate)
        await world.settle()

        assert found == 1
        assert await world.status(identity) == "Completed"
        assert world.live(SHOP) == ({2: 1}, {2: 100})

    run_virtual(main())


async def recovered(world: Driven) -> int:
    """Do what the timer does that starts lost operations again."""
    service = world.app.service
    recovery = Recovery(service.store, world.bench.starts, service.clock)
    return await recovery.sweep()


def test_a_queued_deployment_waits_on_when_its_operation_is_started_again() -> None:
    async def main() -> None:
        world = driven()
        await two_in_force(world)
        world.health.silent.add(await world.upload("shop two"))
        await world.deploy(await world.component("shop two", SHOP))
        queued = await world.deploy(await world.component("shop three", SHOP))
        await world.until(lambda: _is_gating(world))
        await world.app.service.clock.sleep(700)

        await recovered(world)
        world.begin()
        await world.app.service.clock.sleep(5)

        shown = await world.shown(queued["deploymentId"])
        assert (shown.status, shown.waiting_for) == ("Requested", "queue")
        assert world.contexts[-1].asked == ["start_rollout"]

    run_virtual(main())


async def _is_gating(world: Driven) -> bool:
    claim = (await world.target()).queue[0]
    return await world.status(claim.deployment) == "HealthGating"


async def _answer(world: Driven, gate: EvaluateGate) -> None:
    event = world.answer(gate, Verdict.PASS)
    await record_gate_evidence(event, world.bench.ctx(), world.app)
