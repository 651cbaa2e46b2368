"""An isolation that fails is made again when it is asked for again, and not before."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.releases import provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tests.tenants.test_bound_tenants_in_the_whole_world import GLOBEX, ROOT, bound

LATER_S = 200


async def _operations(world: World, kind: str) -> list[Any]:
    """Return the operations of *kind* that there were."""
    documents = await world.documents("environments")
    return [each.body for each in documents if each.body.get("kind") == kind]


async def _shown(world: World, binding_id: str, tenant: str = "acme") -> Any:
    _, body = await world.call("GET", f"{ROOT}/{binding_id}", tenant=tenant)
    return body


async def _with_reason(world: World, binding_id: str, tenant: str = "acme") -> Any:
    async def has_one() -> Any:
        body = await _shown(world, binding_id, tenant)
        return body if body["reason"] and body["reason"]["code"] != "UnboundByCaller" else None

    return await world.until(has_one, within_s=300)


def _in_a_world(test: Callable[[World, str], Any], **environment: Any) -> Any:
    async def main() -> Any:
        world = World()
        await world.boot()
        found = await test(world, await provisioned(world, **environment))
        await world.stop()
        return found

    return run_virtual(main())


def test_a_surface_that_always_fails_is_asked_once_for_each_request() -> None:
    async def test(world: World, environment: str) -> Any:
        world.surface.has_defect = True
        body = {"environmentId": environment}
        _, binding = await world.call("POST", ROOT, body)
        failed = await _with_reason(world, binding["bindingId"])
        await world.clock.sleep(LATER_S)
        first = await _operations(world, "IsolateTenant")
        settled = await _shown(world, binding["bindingId"])
        await world.call("POST", ROOT, body)
        await _with_reason(world, binding["bindingId"])
        await world.clock.sleep(LATER_S)
        second = await _operations(world, "IsolateTenant")
        world.surface.has_defect = False
        return failed, settled, first, second, await bound(world, environment)

    failed, settled, first, second, mended = _in_a_world(test)

    assert (failed["status"], settled) == ("Bound", failed)
    assert (len(first), len(second)) == (1, 2)
    assert (mended["status"], mended["reason"]) == ("Enforced", None)


def test_a_removal_that_always_fails_is_tried_once_for_each_request() -> None:
    async def test(world: World, environment: str) -> Any:
        binding = await bound(world, environment)
        world.surface.has_defect = True
        path = f"{ROOT}/{binding['bindingId']}?confirm=acme"
        await world.call("DELETE", path)
        failed = await _with_reason(world, binding["bindingId"])
        await world.clock.sleep(LATER_S)
        return failed, await _operations(world, "RemoveTenant")

    failed, operations = _in_a_world(test)

    assert failed["status"] == "Unbinding"
    assert len(operations) == 1


def test_an_isolation_that_is_abandoned_stays_ended() -> None:
    async def test(world: World, environment: str) -> Any:
        world.surface.unreadable = "the surface cannot be read"
        _, binding = await world.call("POST", ROOT, {"environmentId": environment})
        await world.until(lambda: _operations(world, "IsolateTenant"))
        (operation,) = await _operations(world, "IsolateTenant")
        path = f"/v1/platform/environments/operations/{operation['operation_id']}/abandon"
        status, _ = await world.call("POST", path)
        await world.clock.sleep(LATER_S)
        shown = await _shown(world, binding["bindingId"])
        return status, shown, await _operations(world, "IsolateTenant")

    status, shown, operations = _in_a_world(test)

    assert status in {200, 202}
    assert shown["status"] == "Bound"
    assert shown["reason"]["code"] == "OperationAbandoned"
    assert [each["status"] for each in operations] == ["Failed"]


@pytest.mark.parametrize("is_leaving", [False, True], ids=["bound", "unbinding"])
def test_other_targets_leave_the_operation_at_work(*, is_leaving: bool) -> None:
    async def test(world: World, environment: str) -> Any:
        kind = "RemoveTenant" if is_leaving else "IsolateTenant"
        if is_leaving:
            await bound(world, environment)
        world.surface.has_defect = True
        binding_id = await _begun(world, environment, is_leaving=is_leaving)
        await _with_reason(world, binding_id)
        await _with_a_cluster(world, environment)
        await world.clock.sleep(LATER_S)
        return await _operations(world, kind)

    assert len(_in_a_world(test)) == 1


async def _begun(world: World, environment: str, *, is_leaving: bool) -> str:
    """Ask for the binding, or for its end, and return its id."""
    _, binding = await world.call("POST", ROOT, {"environmentId": environment})
    identity: str = binding["bindingId"]
    if is_leaving:
        await world.call("DELETE", f"{ROOT}/{identity}?confirm=acme")
    return identity


@pytest.mark.long
@pytest.mark.parametrize("tenant", ["acme", GLOBEX])
def test_a_target_that_is_added_later_is_tried_again_and_shown(tenant: str) -> None:
    async def test(world: World, environment: str) -> Any:
        more = {} if tenant == "acme" else {"ownerTenantId": "acme"}
        binding = await bound(world, environment, tenant=tenant, **more)
        world.cluster.has_defect = True
        await _with_a_cluster(world, environment)
        failed = await _with_reason(world, binding["bindingId"], tenant)
        await world.clock.sleep(600)
        tries = await _operations(world, "IsolateTenant")
        world.cluster.has_defect = False

        async def is_mended() -> Any:
            shown = await _shown(world, binding["bindingId"], tenant)
            return None if shown["reason"] else shown

        return failed, tries, await world.until(is_mended, within_s=1200, every_s=20)

    failed, tries, mended = _in_a_world(test, admits=[GLOBEX])

    assert failed["status"] == mended["status"] == "Enforced"
    assert 3 <= len(tries) <= 7


async def _with_a_cluster(world: World, environment: str) -> None:
    """Have the environment offer a cluster beside this machine."""
    change = {
        "computeTargets": [{"kind": "LocalProcess"}, {"kind": "AKS"}],
        "dataResources": [{"kind": "LocalFolder", "name": "files"}],
        "admits": [GLOBEX],
    }
    await world.call("PUT", f"/runtime/environments/{environment}", change)
