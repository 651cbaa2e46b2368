"""One operation overtakes another, and the host dies at any write: the newer one is the owner."""

import json
from typing import Any

import pytest

from shared.kernel.errors import Unavailable
from tests.kit.parameters import long_but, unless_whole
from tests.kit.releases import ENVIRONMENT, brought_out, deploy, ended, provisioned, until_status
from tests.kit.sweep import (
    Scenario,
    differences,
    reference,
    undisturbed,
    wrong_ends,
)
from tests.kit.world import World

FOLDERS = [{"kind": "LocalFolder", "name": name} for name in ("files", "first", "second")]
ROOT = "/runtime/environments"
LEAVING = frozenset({"Decommissioning", "Decommissioned"})


async def environment(world: World) -> Any:
    """Return the environment as its service answers it; an empty one where there is none yet."""
    _, listed = await world.call("GET", ROOT)
    return listed["value"][0] if listed["value"] else {"status": "", "generation": 0}


async def ask_to_decommission(world: World, identity: str) -> None:
    status, answer = await world.call("DELETE", f"{ROOT}/{identity}?confirm=shop")
    assert status == 202, answer


async def decommissioned(world: World, identity: str) -> None:
    """Have the environment taken down."""
    await ask_to_decommission(world, identity)
    await until_status(world, f"{ROOT}/{identity}", {"Decommissioned"})


async def an_update_is_overtaken_by_a_decommissioning(world: World) -> None:
    """Have an update that stands at its second folder, then take the environment down."""
    known = await environment(world)
    if known["status"] not in LEAVING:
        identity = known["environmentId"] if known["generation"] else ""
        if known["status"] != "Updating":
            identity = await provisioned(world)
        world.infrastructure.refusing["data-second"] = Unavailable("no second folder yet")
        update = {"computeTargets": ENVIRONMENT["computeTargets"], "dataResources": FOLDERS}
        status, answer = await world.call("PUT", f"{ROOT}/{identity}", update)
        assert status == 202, answer
        await world.until(lambda: "create data-first" in world.infrastructure.writes)
    known = await environment(world)
    await ask_to_decommission(world, known["environmentId"])
    world.infrastructure.refusing.clear()
    await until_status(world, f"{ROOT}/{known['environmentId']}", {"Decommissioned"})


async def a_decommissioning_is_overtaken_by_a_request(world: World) -> None:
    """Ask for an environment again while it goes, until that is taken."""
    known = await environment(world)
    if known["generation"] < 2:
        if known["status"] not in LEAVING:
            known["environmentId"] = await provisioned(world)
        identity = known["environmentId"]
        if known["status"] != "Decommissioned":
            await ask_to_decommission(world, identity)

        async def is_taken() -> bool:
            status, answer = await world.call("POST", ROOT, ENVIRONMENT)
            assert status == 202 or answer["error"]["code"] == "TransitionRefused", answer
            return status == 202

        await world.until(is_taken)
    await provisioned(world)


async def a_release_is_overtaken_by_its_rollback(world: World) -> None:
    """Bring out a release; have the next one rolled back while its canary is measured."""
    identity = await provisioned(world)
    await brought_out(world, identity, "1")
    second = await asked(world, identity, "2")
    path = f"/runtime/deployments/{second}"
    reached = await until_status(world, path, {"HealthGating", "RollingBack", "RolledBack"})
    if reached["status"] == "HealthGating":
        status, answer = await world.call("POST", f"{path}/rollback", {"reason": "asked"})
        assert status == 202, answer
    assert (await ended(world, second))["status"] == "RolledBack"


async def a_rollback_is_overtaken_by_a_release(world: World) -> None:
    """Ask for the rollback of a release while the next one, which replaces it, goes out."""
    identity = await provisioned(world)
    await brought_out(world, identity, "0")
    await brought_out(world, identity, "1")
    first, second = await asked(world, identity, "1"), await asked(world, identity, "2")
    status, answer = await world.call("POST", f"/runtime/deployments/{first}/rollback", {})
    if status == 202:
        assert (await ended(world, answer["deploymentId"]))["reason"]["code"] == "NotInForce"
    else:
        assert answer["error"]["code"] == "NotInForce"
    assert (await ended(world, second))["status"] == "Completed"


async def asked(world: World, identity: str, version: str) -> str:
    """Have asked for *version*, and return its deployment."""
    _, listed = await world.call("GET", f"/runtime/deployments?environmentId={identity}")
    known = [each for each in listed["value"] if each["releaseRef"] == f"v{version}"]
    return str(known[0]["deploymentId"]) if known else await deploy(world, identity, version)


async def a_drain_is_late_by_a_generation(world: World) -> None:
    """Let the drain of a generation stand still until the next one runs its own release."""
    world.lists_for_deployments.clear()
    known = await environment(world)
    if known["generation"] < 2:
        identity = known.get("environmentId")
        if known["status"] not in LEAVING:
            identity = await provisioned(world)
            await brought_out(world, identity, "1")
        await decommissioned(world, str(identity))
    second = await brought_out(world, await provisioned(world), "2")
    assert second["status"] == "Completed", second["reason"]
    world.lists_for_deployments.set()


SCENARIOS: dict[str, Scenario] = {
    "update-by-decommissioning": an_update_is_overtaken_by_a_decommissioning,
    "decommissioning-by-request": a_decommissioning_is_overtaken_by_a_request,
    "release-by-rollback": a_release_is_overtaken_by_its_rollback,
    "rollback-by-release": a_rollback_is_overtaken_by_a_release,
    "drain-by-generation": a_drain_is_late_by_a_generation,
}
ENDED_EARLY = {
    "update-by-decommissioning": {"UpdateEnvironment": "OperationSuperseded"},
    "decommissioning-by-request": {},
    "release-by-rollback": {"Deploy": "OperationSuperseded", "EvaluateGate": "DeploymentEnded"},
    "rollback-by-release": {"RollbackDeployment": "NotInForce"},
    "drain-by-generation": {"DrainEnvironment": "OperationSuperseded"},
}
POINTS_IN_EVERY_RUN = 1
POINTS_IN_A_LONG_RUN = 1
"""Of up to 1,400: with SWEEP=all in the environment every one of them, which takes an hour."""


@pytest.mark.parametrize("name", long_but(["release-by-rollback"], SCENARIOS))
def test_only_what_was_overtaken_ends_early_and_says_why(name: str) -> None:
    _, end = reference(SCENARIOS[name])
    documents = [json.loads(each) for each in end]
    operations = [each[1] for each in documents if str(each[0][-1]).startswith("operation/")]
    early = [each for each in operations if each["status"] != "Succeeded"]

    assert {each["kind"]: each["error"]["code"] for each in early} == ENDED_EARLY[name]


@pytest.mark.long
def test_a_drain_is_held_until_the_next_generation_runs() -> None:
    points, _ = reference(a_drain_is_late_by_a_generation)

    assert "held inventory" in points


def test_killed_at_some_points_a_rollback_owns_what_it_took_over() -> None:
    assert wrong_ends(SCENARIOS["release-by-rollback"], POINTS_IN_EVERY_RUN) == {}


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_messages_that_come_twice_late_and_out_of_order_bring_nothing_old_back(name: str) -> None:
    _, expected = reference(SCENARIOS[name])
    _, found = undisturbed(SCENARIOS[name], is_unruly=True)

    assert found == expected, differences(expected, found)


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_many_points_the_newer_operation_owns_what_it_took_over(name: str) -> None:
    assert wrong_ends(SCENARIOS[name], unless_whole(POINTS_IN_A_LONG_RUN)) == {}
