"""A rollback over a recreate stops instances first, and says of the time without service."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from function_apps.deployments.use_cases.cancel import cancel
from function_apps.deployments.use_cases.release_hold import release_hold
from shared.contracts.deployments import DeploymentReason
from shared.contracts.strategies import StrategyKind
from tests.deployments.driven import SHOP, Driven, driven
from tests.deployments.test_lost_documents import lose
from tests.deployments.test_rolling_back import planned
from tests.kit.virtual_time import run_virtual

RECREATE: Mapping[str, Any] = {"strategy": {"kind": "recreate"}}
STOPS = f"`recreate` stops {SHOP} before the new version starts: no instance serves until that"
RESTARTS = f"`recreate` may have stopped {SHOP} by now: what was in force before is started again"


async def released(world: Driven, *kinds: str) -> Sequence[str]:
    """Release shop by each of *kinds* in turn; return the deployments."""
    await world.tell()
    done = [
        await world.release(f"v{number}", strategy={"kind": kind})
        for number, kind in enumerate(kinds)
    ]
    return [each.deployment_id for each in done]


async def undone(world: Driven, deployment: str, **more: Any) -> tuple[str, StrategyKind]:
    """Roll *deployment* back; return the rollback, and how it went."""
    plan = await planned(world, deployment, **more)
    answer = await world.rollback(deployment, **more)
    await world.settle()
    done = await world.deployment(answer["deploymentId"])
    said = bool(answer["warnings"])
    assert list(plan.warnings) == answer["warnings"]
    assert said == (done.strategy.kind is StrategyKind.RECREATE)
    assert all(each.startswith(STOPS) for each in answer["warnings"])
    assert done.status == "Completed"
    return done.deployment_id, done.strategy.kind


@pytest.mark.parametrize(
    ("kinds", "goal", "expected"),
    [
        pytest.param(("canary", "recreate", "canary"), 0, "recreate", id="over-a-recreate"),
        pytest.param(("canary", "recreate", "canary"), 1, "canary", id="to-a-recreate"),
        pytest.param(("recreate", "canary", "canary"), 0, "canary", id="over-canaries"),
        pytest.param(
            ("canary", "recreate", "canary", "canary"),
            0,
            "recreate",
            id="over-three",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_rollback_to_an_earlier_release_goes_by_all_that_it_passes(
    kinds: Sequence[str], goal: int, expected: str
) -> None:
    async def main() -> None:
        world = driven()
        releases = await released(world, *kinds)

        _, kind = await undone(world, releases[-1], toDeploymentId=releases[goal])

        assert kind == expected

    run_virtual(main())


def test_a_rollback_of_a_rollback_goes_by_the_release_that_it_takes_back() -> None:
    async def main() -> None:
        world = driven()
        *_, last = await released(world, "canary", "recreate", "canary")

        first, kind = await undone(world, last)
        _, then = await undone(world, first)

        assert (kind, then) == ("canary", "recreate")

    run_virtual(main())


def test_one_to_a_release_that_came_later_stops_first_as_that_did() -> None:
    async def main() -> None:
        world = driven()
        _, two = await released(world, "canary", "recreate")
        first, _ = await undone(world, two)
        three = await world.release("three", strategy={"kind": "canary"})
        await release_hold(first, DeploymentReason(), world.ctx, world.app)

        _, kind = await undone(world, three.deployment_id, toDeploymentId=two)

        assert kind == "recreate"

    run_virtual(main())


def test_so_does_one_over_releases_of_which_not_all_are_known() -> None:
    async def main() -> None:
        world = driven()
        one, _, three, last = await released(world, "canary", "canary", "canary", "canary")
        await lose(world, three, is_gone=True)

        _, kind = await undone(world, last, toDeploymentId=one)

        assert kind == "recreate"

    run_virtual(main())


async def on_its_way(world: Driven) -> str:
    """Have a recreate stop what is in force, and halt before its own instances are there."""
    await released(world, "canary")
    world.halt_at = "check_ready"
    answer = await world.deploy(await world.component("two"), **RECREATE)
    assert [each.startswith(STOPS) for each in answer["warnings"]] == [True]
    await world.until(world.is_halted)
    return str(answer["deploymentId"])


def test_taking_back_a_recreate_on_its_way_says_what_is_started_again() -> None:
    async def main() -> None:
        world = driven()
        two = await on_its_way(world)

        plan = await planned(world, two)
        answer = await world.rollback(two)

        assert [each.starts_again for each in plan.restores] == [True]
        assert list(plan.warnings) == answer["warnings"]
        assert answer["warnings"][0].startswith(RESTARTS)

    run_virtual(main())


def test_so_does_its_cancellation() -> None:
    async def main() -> None:
        world = driven()
        two = await on_its_way(world)

        answer = (await cancel(two, DeploymentReason(), world.ctx, world.app)).value

        assert answer["warnings"][0].startswith(RESTARTS)

    run_virtual(main())


def test_a_canary_on_its_way_leaves_what_is_in_force() -> None:
    async def main() -> None:
        world = driven()
        await released(world, "canary")
        world.halt_at = "check_ready"
        two = await world.deploy(await world.component("two"))
        await world.until(world.is_halted)

        plan = await planned(world, two["deploymentId"])

        assert (plan.warnings, plan.restores[0].starts_again) == ((), False)

    run_virtual(main())
