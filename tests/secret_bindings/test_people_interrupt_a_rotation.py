"""Rotations that people cancel, or roll back below: what is said of a module is what it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.kit.releases import deploy, ended, until_status
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tests.secret_bindings.test_a_rotation_in_the_whole_world import NAME, _bound

pytestmark = pytest.mark.xdist_group("rotation-world")
ONE_REQUEST: Final = {"strategy": {"steps": [{"weight": 50, "minSamples": 1}, {"weight": 100}]}}


async def _in_world(story: Callable[[World, str, str], Awaitable[Any]]) -> Any:
    """Return what *story* returns of a world, its environment, and the binding of a module."""
    world = World(requests_per_s=30)
    await world.boot()
    try:
        environment, asked = await _bound(world)
        return await story(world, environment, asked["bindingId"])
    finally:
        await world.stop()


async def _begun(world: World, binding: str, **order: Any) -> Any:
    """Rotate, and return the rotation and its roll-out, which is on its way."""
    path = f"/runtime/secret-bindings/{binding}/rotate"
    status, rotation = await world.call("POST", path, order)
    assert status == 202, rotation
    return rotation, await _roll_out(world)


async def _roll_out(world: World, number: int = 1) -> str:
    """Return roll-out *number* of the secret, once it is asked for."""

    async def asked() -> str | None:
        _, found = await world.call("GET", "/runtime/deployments")
        all_of_it = sorted(e["deploymentId"] for e in found["value"] if e["kind"] == "secret")
        return all_of_it[number - 1] if len(all_of_it) >= number else None

    return str(await world.until(asked))


async def _rotation(world: World, rotation_id: str, status: set[str]) -> Any:
    return await until_status(world, f"/runtime/secret-rotations/{rotation_id}", status)


async def _said(world: World, binding: str) -> tuple[str, str]:
    """Return the version that the binding names, and the one that the module's instances proved."""
    _, bound = await world.call("GET", f"/runtime/secret-bindings/{binding}")
    _, found = await world.call("GET", "/runtime/deployments")
    proved = [each for each in found["value"] if each["proof"] and each["proof"]["whole"]]
    last = max(proved, key=lambda each: each["endedAt"])
    (version,) = {each["secretVersions"][NAME] for each in last["proof"]["instances"]}
    return bound["version"], version


def test_a_roll_out_of_a_cancelled_rotation_is_taken_back() -> None:
    async def story(world: World, _environment: str, binding: str) -> Any:
        rotation, roll_out = await _begun(world, binding)
        await world.clock.sleep(2)
        await world.call("POST", f"/runtime/operations/{rotation['operationId']}/cancel", {})
        done = await ended(world, roll_out)
        again, _ = await _begun(world, binding, overlap="PT0S")
        between = await _said(world, binding)
        return rotation, done, between, await _rotation(world, again["rotationId"], {"Revoked"})

    rotation, done, between, again = run_virtual(_in_world(story))

    assert (done["status"], done["holds"]) == ("RolledBack", [])
    assert between == (rotation["fromVersion"], rotation["fromVersion"])
    assert again["status"] == "Revoked"


def test_who_is_rolled_back_in_the_overlap_follows_again_before_the_old_version_ends() -> None:
    async def story(world: World, _environment: str, binding: str) -> Any:
        rotation, roll_out = await _begun(world, binding, overlap="PT2M")
        await _rotation(world, rotation["rotationId"], {"Verified"})
        _, back = await world.call("POST", f"/runtime/deployments/{roll_out}/rollback", {})
        await ended(world, back["deploymentId"])
        _, went_back = await _said(world, binding)
        done = await _rotation(world, rotation["rotationId"], {"Revoked", "Failed"})
        return done, went_back, await _said(world, binding)

    done, went_back, after = run_virtual(_in_world(story))

    assert (done["status"], done["reason"]) == ("Revoked", None)
    assert went_back == done["fromVersion"]
    assert after == (done["toVersion"], done["toVersion"])


@pytest.mark.long
def test_a_roll_out_is_not_rolled_back_once_its_older_version_is_disabled() -> None:
    async def story(world: World, environment: str, binding: str) -> Any:
        second = await deploy(world, environment, "2")
        await ended(world, second)
        rotation, roll_out = await _begun(world, binding, overlap="PT0S")
        await _rotation(world, rotation["rotationId"], {"Revoked"})
        path = f"/runtime/deployments/{roll_out}/rollback"
        planned = await world.call("POST", path, {"dryRun": True})
        asked = await world.call("POST", path, {})
        return planned, asked, await _said(world, binding), rotation

    (planned, plan), (status, answer), said, rotation = run_virtual(_in_world(story))

    assert (planned, plan["error"]["message"]) == (status, answer["error"]["message"])
    assert (status, answer["error"]["code"]) == (409, "NothingToTakeBack")
    assert f"{rotation['fromVersion']} of " in answer["error"]["message"]
    assert "say toDeploymentId dep-" in answer["error"]["message"]
    assert said[0] == said[1] != rotation["fromVersion"]


def test_a_release_that_never_had_the_version_is_rolled_back_beside_it() -> None:
    async def story(world: World, environment: str, binding: str) -> Any:
        release = await deploy(world, environment, "2")
        await world.clock.sleep(5)
        rotation, _ = await _begun(world, binding, overlap="PT0S")
        await world.call("POST", f"/runtime/deployments/{release}/rollback", {})
        back = await ended(world, release)
        done = await _rotation(world, rotation["rotationId"], {"Revoked", "Failed"})
        return back, done, await _said(world, binding)

    back, done, after = run_virtual(_in_world(story))

    assert back["status"] == "RolledBack"
    assert (done["status"], done["reason"]) == ("Revoked", None)
    assert after == (done["toVersion"], done["toVersion"])


@pytest.mark.long
def test_a_module_that_is_released_without_a_pause_is_rotated_all_the_same() -> None:
    async def story(world: World, environment: str, binding: str) -> Any:
        releases = [await deploy(world, environment, str(number)) for number in range(2, 7)]
        rotation, _ = await _begun(world, binding, overlap="PT0S")
        ends = await asyncio.gather(*(ended(world, each) for each in releases))
        done = await _rotation(world, rotation["rotationId"], {"Revoked", "Failed"})
        return {each["status"] for each in ends}, done

    ends, done = run_virtual(_in_world(story))

    assert ends == {"Completed"}
    assert (done["status"], done["reason"]) == ("Revoked", None)
