"""A tenant is moved to another model of isolation, in the environment that it is bound to."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import a_component, deploy, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tests.tenants.test_bound_tenants_in_the_whole_world import (
    GLOBEX,
    ROOT,
    UNRULY,
    bound,
    updated,
)


async def move(world: World, binding: Mapping[str, Any], model: str, **more: Any) -> Any:
    path = f"{ROOT}/{binding['bindingId']}/move"
    return await world.call("POST", path, {"isolationModel": model, "reason": "grown", **more})


async def settled(world: World, binding: Mapping[str, Any]) -> Any:
    """Return the binding once it is moved no more."""

    async def over() -> Any:
        _, shown = await world.call("GET", f"{ROOT}/{binding['bindingId']}")
        return shown if shown["status"] != "Moving" else None

    return await world.until(over, within_s=3600)


async def until_cut_over(world: World, binding: Mapping[str, Any]) -> None:
    """Wait until the move of *binding* starts its modules again."""

    async def is_cut_over() -> bool:
        _, shown = await world.call("GET", f"{ROOT}/{binding['bindingId']}")
        return bool(shown["phase"] == "CutOver")

    await world.until(is_cut_over, within_s=300)


async def relocations(world: World) -> list[Mapping[str, Any]]:
    _, listed = await world.call("GET", "/runtime/deployments")
    return [each for each in listed["value"] if each["kind"] == "relocation"]


@pytest.mark.long
@UNRULY
def test_all_that_a_moved_tenant_runs_is_started_again_by_the_moved_binding(
    *, is_unruly: bool
) -> None:
    async def main() -> Any:
        world = World(requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment)
        digest = await uploaded(world, "1")
        modules = [a_component(digest, "1", each) for each in ("module-web", "module-api")]
        await ended(world, await deploy(world, environment, "1", components=modules))
        status, begun = await move(world, binding, "pool")
        repeated, _ = await move(world, binding, "pool")
        pool = await settled(world, binding)
        moved = await relocations(world)
        await move(world, binding, "silo")
        silo = await settled(world, binding)
        refused = await updated(world, environment, admits=[GLOBEX])
        _, services = await world.call("GET", "/runtime/services")
        await world.stop()
        return (status, begun, repeated), (pool, moved), silo, refused, services["value"]

    (status, begun, repeated), (pool, moved), silo, refused, services = run_virtual(main())

    assert (status, repeated) == (202, 202)
    assert (begun["status"], begun["phase"]) == ("Moving", "Preparing")
    assert begun["reason"] == {"code": "MovedByCaller", "message": "grown"}
    assert (pool["isolationModel"], pool["status"], pool["phase"]) == ("pool", "Enforced", None)
    assert pool["reason"] is None
    assert [each["status"] for each in moved] == ["Completed"] * 2
    cut_over = {each["relocation"]["bindingRevision"] for each in moved}
    assert {each["releaseUnit"]["tenantBindingRevision"] >= min(cut_over) for each in moved} == {
        True
    }
    assert all(each["proof"]["whole"] for each in moved)
    assert (silo["isolationModel"], silo["status"]) == ("silo", "Enforced")
    assert refused == (409, "SiloNotAlone")
    assert {each["releaseRevision"] for each in services} == {3}


def test_a_relocation_that_fails_takes_the_move_back() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment)
        await ended(world, await deploy(world, environment, "1"))
        world.surface.behaviours[await uploaded(world, "1")] = Behaviour(exit_code=1)
        await move(world, binding, "silo")
        back = await settled(world, binding)
        await world.clock.sleep(60)
        admitted = await updated(world, environment, admits=[GLOBEX])
        _, shown = await world.call("GET", f"{ROOT}/{binding['bindingId']}")
        (failed,) = await relocations(world)
        await world.stop()
        return back, admitted, shown, failed

    back, admitted, shown, failed = run_virtual(main())

    assert failed["status"] == "Failed"
    assert (back["isolationModel"], back["status"]) == ("shared", "Enforced")
    assert back["reason"]["code"] == shown["reason"]["code"] == "MoveTakenBack"
    assert "module-web" in back["reason"]["message"]
    assert admitted == (202, "")


@pytest.mark.long
def test_what_was_a_silo_stays_one_until_the_move_cannot_go_back() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment, isolationModel="silo")
        await ended(world, await deploy(world, environment, "1"))
        await move(world, binding, "pool")
        await until_cut_over(world, binding)
        during = await updated(world, environment, admits=[GLOBEX])
        moved = await settled(world, binding)
        after = await updated(world, environment, admits=[GLOBEX])
        await world.stop()
        return during, moved, after

    during, moved, after = run_virtual(main())

    assert during == (409, "SiloNotAlone")
    assert (moved["isolationModel"], moved["status"]) == ("pool", "Enforced")
    assert after == (202, "")


def test_a_tenant_whose_environment_has_another_one_becomes_no_silo_and_keeps_its_model() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        binding = await bound(world, environment)
        await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        await updated(world, environment)
        status, _ = await move(world, binding, "silo")
        back = await settled(world, binding)
        await world.stop()
        return status, back

    status, back = run_virtual(main())

    assert status == 202
    assert (back["isolationModel"], back["status"]) == ("shared", "Enforced")
    assert "SiloNotAlone" in back["reason"]["message"]


@pytest.mark.long
def test_a_tenant_that_is_suspended_while_it_is_moved_is_held_to_the_old_model() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment)
        await ended(world, await deploy(world, environment, "1"))
        await move(world, binding, "silo")
        await until_cut_over(world, binding)
        path = f"{ROOT}/{binding['bindingId']}/suspend"
        _, suspended = await world.call("POST", path, {"reason": "not paid"})
        (stopped,) = await world.until(lambda: relocations(world))
        stopped = await ended(world, stopped["deploymentId"])
        await world.clock.sleep(60)
        admitted = await updated(world, environment, admits=[GLOBEX])
        await world.stop()
        return suspended, admitted, stopped

    suspended, admitted, stopped = run_virtual(main())

    assert (suspended["status"], suspended["isolationModel"]) == ("Suspended", "shared")
    assert stopped["status"] in {"Cancelled", "RolledBack"}
    assert "is over" in stopped["reason"]["message"]
    assert admitted == (202, "")
