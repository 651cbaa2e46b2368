"""A rotation that fails or is canceled stops its roll-outs; who has its version keeps it."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.release_hold import release_hold
from function_apps.deployments.use_cases.retry import retry
from function_apps.deployments.use_cases.stop_roll_outs import stop_roll_outs
from shared.contracts.deployments import DeploymentReason
from shared.contracts.roll_outs import NOTHING_TO_ROLL_OUT
from tests.deployments.driven import SHOP, Driven, driven
from tests.deployments.test_secrets_are_rolled_out import prepared
from tests.deployments.told_secrets import (
    BINDING,
    bind,
    live_secrets,
    roll_out,
    rolled_out,
    rotate,
    rotation_failed,
)
from tests.kit.virtual_time import run_virtual

OTHER_VAULT = "https://kv-other.vault.azure.net/"


async def fail(world: Driven, version: str, number: int, **more: Any) -> None:
    """Tell that rotation *number*, to *version*, does not go on."""
    await stop_roll_outs(rotation_failed(version, number, **more), world.bench.ctx(), world.app)


def given(world: Driven) -> Mapping[str, str]:
    return {each.name: each.version for each in live_secrets(world)}


async def halted_at(world: Driven, activity: str) -> str:
    """Return a roll-out of v2 that stands before *activity*."""
    await prepared(world)
    world.halt_at = activity
    asked = await roll_out(world, "v2", 1)
    await world.until(world.is_halted)
    return str(asked.value["deploymentId"])


async def ended(world: Driven, deployment: str) -> Deployment:
    world.go_on()
    await world.settle()
    return await world.deployment(deployment)


@pytest.mark.parametrize(
    ("activity", "status"),
    [
        pytest.param("start_rollout", "Cancelled", id="one-that-waits"),
        pytest.param("shift_traffic", "RolledBack", id="one-on-its-way"),
        pytest.param("complete_release", "RolledBack", id="one-before-its-end"),
    ],
)
def test_a_roll_out_of_it_stops_and_leaves_no_hold(activity: str, status: str) -> None:
    async def main() -> Any:
        world = driven()
        asked = await halted_at(world, activity)
        await fail(world, "v2", 1)
        await fail(world, "v2", 1)
        done = await ended(world, asked)
        return done, given(world)["password"]

    done, runs = run_virtual(main())

    assert (done.status, done.holds, runs) == (status, (), "v1")
    assert done.reason.code == "Cancelled"
    assert all(word in done.reason.message for word in ("rot-", "ProofMissing", "does not go on"))


def test_what_it_has_brought_stays() -> None:
    async def main() -> Any:
        world = driven()
        await prepared(world)
        done = await rolled_out(world, "v2", 1)
        await fail(world, "v2", 1)
        await world.settle()
        return await world.status(done.deployment_id), given(world)["password"]

    assert run_virtual(main()) == ("Completed", "v2")


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"number": 2}, id="another-rotation"),
        pytest.param({"number": 1, "bindingId": f"{BINDING[:-1]}x"}, id="another-binding"),
    ],
)
def test_roll_outs_of_others_go_on(told: Mapping[str, Any]) -> None:
    async def main() -> Any:
        world = driven()
        asked = await halted_at(world, "shift_traffic")
        await fail(world, "v2", **told)
        return await ended(world, asked)

    assert run_virtual(main()).status == "Completed"


def test_a_roll_out_that_is_told_after_it_failed_is_not_begun() -> None:
    """Commands and events come in any order."""

    async def main() -> Any:
        world = driven()
        await prepared(world)
        await fail(world, "v2", 1)
        late = await roll_out(world, "v2", 1)
        again = await rolled_out(world, "v2", 2)
        return late.value, again.status

    assert run_virtual(main()) == ({}, "Completed")


def test_a_roll_out_of_it_that_is_retried_brings_nothing() -> None:
    async def main() -> Any:
        world = driven()
        one = await prepared(world)
        world.health.bad.add(one.released_components[0].digest)
        held = await rolled_out(world, "v2", 1)
        refused = await rolled_out(world, "v2", 2)
        await fail(world, "v2", 2)
        await release_hold(held.deployment_id, DeploymentReason(), world.ctx, world.app)
        await retry(refused.deployment_id, DeploymentReason(), world.ctx, world.app)
        await world.settle()
        return refused.status, await world.deployment(refused.deployment_id)

    before, after = run_virtual(main())

    assert (before, after.status) == ("Failed", "Cancelled")
    assert after.reason.code == NOTHING_TO_ROLL_OUT


def test_the_next_release_is_given_what_its_binding_goes_back_to() -> None:
    """Also where an earlier rotation ended well: only since that an older version is told late."""

    async def main() -> Any:
        world = driven()
        await prepared(world)
        await rolled_out(world, "v2", 1)
        await rotate(world, "v2", 1, revision=2)
        canary = await rolled_out(world, "v3", 2)
        await bind(world, "v3", revision=3)
        await fail(world, "v3", 2)
        await world.rollback(canary.deployment_id)
        await world.settle()
        await bind(world, "v2", revision=4)
        await world.release("two")
        return given(world)["password"]

    assert run_virtual(main()) == "v2"


def test_of_a_secret_in_another_vault_by_now_nothing_is_closed() -> None:
    async def main() -> Any:
        world = driven()
        await prepared(world)
        await fail(world, "v2", 1, vaultUri=OTHER_VAULT)
        return (await rolled_out(world, "v2", 1)).status

    assert run_virtual(main()) == "Completed"


def test_of_a_module_that_is_not_known_nothing_is_recorded() -> None:
    async def main() -> Any:
        world = driven()
        await prepared(world)
        before = await world.target()
        await fail(world, "v2", 1, secretName="unknown")
        return before, await world.target()

    before, after = run_virtual(main())

    assert (after, SHOP in after.modules) == (before, True)


def test_a_version_that_somebody_took_back_follows_again() -> None:
    """A hold is of what a caller released: that a secret changes is the rotation's business."""

    async def main() -> Any:
        world = driven()
        one = await prepared(world)
        first = await rolled_out(world, "v2", 1)
        back = await world.rollback(first.deployment_id)
        await world.settle()
        between = given(world)["password"]
        again = await rolled_out(world, "v2", 1)
        return one, await world.deployment(back["deploymentId"]), between, again

    one, back, between, again = run_virtual(main())

    assert (back.status, back.holds, between) == ("Completed", (), "v1")
    assert again.status == "Completed"
    assert (again.strategy, again.gate) == (one.strategy, one.gate)


@pytest.mark.parametrize(("first", "second"), [("canary", "recreate"), ("recreate", "canary")])
def test_what_is_rolled_out_after_a_rollback_has_the_steps_and_gate_of_what_it_restored(
    first: str, second: str
) -> None:
    """The rollback itself stops instances first where the release that it undoes did."""

    async def main() -> Any:
        world = driven()
        await prepared(world, strategy={"kind": first}, gate={"minSamples": 7})
        two = await world.release("two", strategy={"kind": second}, gate={"minSamples": 3})
        back = await world.rollback(two.deployment_id)
        await world.settle()
        return await world.deployment(back["deploymentId"]), await rolled_out(world, "v2", 1)

    back, done = run_virtual(main())

    assert {each.status for each in (back, done)} == {"Completed"}
    assert (back.strategy.kind, done.strategy.kind) == (second, first)
    assert done.gate.min_samples == 7


def test_a_release_of_many_steps_and_modules_is_rolled_back() -> None:
    """It is judged by no gate, so there are not too many judgements."""

    async def main() -> Any:
        world = driven()
        await world.tell()
        modules = [f"module-m{number}" for number in range(8)]
        all_of_it = [await world.component("one", moduleId=each) for each in modules]
        await world.deploy(*all_of_it)
        await world.settle()
        steps = [{"weight": 5 * number} for number in range(1, 21)]
        last = await world.component("two", moduleId=modules[0])
        two = await world.deploy(last, remove=modules[1:], strategy={"steps": steps})
        await world.settle()
        back = await world.rollback(two["deploymentId"])
        await world.settle()
        return await world.status(two["deploymentId"]), await world.status(back["deploymentId"])

    assert run_virtual(main()) == ("Completed", "Completed")


def test_a_roll_out_that_a_person_rolls_back_on_its_way_leaves_no_hold() -> None:
    async def main() -> Any:
        world = driven()
        asked = await halted_at(world, "shift_traffic")
        await world.rollback(asked)
        done = await ended(world, asked)
        return done, (await rolled_out(world, "v2", 2)).status

    done, again = run_virtual(main())

    assert (done.status, done.holds, again) == ("RolledBack", (), "Completed")


def test_a_release_that_brought_a_binding_is_held_once_it_is_rolled_back() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        await world.release("one")
        await bind(world, "v1")
        two = await world.release("one", releaseRef="with its secret")
        back = await world.rollback(two.deployment_id)
        await world.settle()
        return await world.deployment(back["deploymentId"])

    assert [each.module_id for each in run_virtual(main()).holds] == [SHOP]
