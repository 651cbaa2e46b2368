"""Scaling with all services: from a policy over HTTP to instances, inventory and release unit."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.ids import EnvironmentId
from tests.kit.releases import (
    ENDED,
    a_component,
    deploy,
    ended,
    provisioned,
    scaled,
    until_status,
    uploaded,
)
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

RULE = {"signal": "requests", "target": 10}


async def under_load(world: World, **changes: Any) -> tuple[str, str]:
    """Have a release with a policy, and return environment and policy."""
    await world.boot()
    environment = await provisioned(world)
    first = await ended(world, await deploy(world, environment, "1"))
    assert first["status"] == "Completed", first
    policy = await scaled(world, min=2, max=6, rules=[RULE], **changes)
    await world.clock.sleep(180)
    return environment, policy


async def service_in(world: World) -> Any:
    _, services = await world.call("GET", "/runtime/services")
    return services["value"][0]


def test_the_inventory_shows_the_number_that_a_policy_wants() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            _, policy = await under_load(world)
            _, shown = await world.call("GET", f"/runtime/scaling-policies/{policy}")
            service = await service_in(world)

            assert (shown["status"], shown["desired"]) == ("Enforced", 5)
            assert (service["replicas"], len(service["instances"])) == (5, 5)
            assert service["status"] == "Running"
            await world.call("DELETE", f"/runtime/scaling-policies/{policy}")
            await world.clock.sleep(60)
            assert (await service_in(world))["replicas"] == 5
        finally:
            await world.stop()

    run_virtual(main())


async def judged(world: World, environment: str) -> tuple[int, int, list[Any]]:
    """Return what the inventory wants a while later, what there is, and what drift finds."""
    await world.clock.sleep(900)
    service = await service_in(world)
    _, report = await world.call("GET", f"/runtime/drift/{environment}")
    assert service["status"] == "Running"
    open_ = [each["path"] for each in report["value"] if each["status"] == "Open"]
    return service["replicas"], len(service["instances"]), open_


@pytest.mark.long
def test_the_number_that_a_refused_policy_left_stays_until_the_next_release() -> None:
    """A ceiling pays for what the first release may take, and the second has no such limit."""

    async def released(world: World, environment: str, version: str, **more: Any) -> None:
        component = a_component(await uploaded(world, version), version, **more)
        done = await ended(world, await deploy(world, environment, version, components=[component]))
        assert done["status"] == "Completed", done["reason"]

    async def main() -> None:
        world = World(requests_per_s=45)
        ceiling = {"amount": 30, "per": "hour", "prices": {"memoryGib": 1}}
        try:
            await world.boot()
            environment = await provisioned(world)
            await released(world, environment, "1", resources={"memoryMib": 64})
            policy = await scaled(world, min=2, max=6, rules=[RULE], costCeiling=ceiling)
            path = f"/runtime/scaling-policies/{policy}"
            await world.clock.sleep(180)
            await released(world, environment, "2")
            refused = await judged(world, environment)
            _, shown = await world.call("GET", path)
            await released(world, environment, "3")
            released_since = await judged(world, environment)
            await world.call("DELETE", path)

            assert shown["status"] == "Rejected"
            assert refused == (5, 5, [])
            assert released_since == (2, 2, [])
            assert await judged(world, environment) == (2, 2, [])
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_policy_that_is_deleted_beside_a_release_leaves_its_number_with_it() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            environment, policy = await under_load(world)
            second = await deploy(world, environment, "2")
            await world.clock.sleep(20)
            _, meanwhile = await world.call("GET", f"/runtime/deployments/{second}")
            await world.call("DELETE", f"/runtime/scaling-policies/{policy}")
            done = await ended(world, second)

            assert meanwhile["status"] not in ENDED
            assert done["status"] == "Completed", done["reason"]
            assert await judged(world, environment) == (5, 5, [])
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_repair_of_the_number_that_a_policy_left_brings_what_the_finding_calls_desired() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            environment, policy = await under_load(world)
            await world.call("DELETE", f"/runtime/scaling-policies/{policy}")
            await world.clock.sleep(60)
            without_instance(world, environment)
            await world.clock.sleep(900)
            _, report = await world.call("GET", f"/runtime/drift/{environment}")
            (finding,) = report["value"]
            path = f"/runtime/drift-findings/{finding['findingId']}/remediate"
            status, answer = await world.call("POST", path, {"reason": "one is missing"})

            assert status == 200, answer
            shown = (finding["path"], finding["desired"], finding["actual"])
            assert shown == ("replicas", "5", "4")
            assert await judged(world, environment) == (5, 5, [])
        finally:
            await world.stop()

    run_virtual(main())


def without_instance(world: World, environment: str) -> None:
    """Have one instance fewer of each service, as somebody lowered its number by hand."""
    for component in world.surface.sites[EnvironmentId(environment)].components.values():
        for revision in component.revisions.values():
            number = revision.spec.replicas - 1
            revision.spec = replace(revision.spec, replicas=number)
            revision.instances[:] = revision.instances[:number]


@pytest.mark.long
def test_the_next_release_begins_with_as_many_and_records_the_policy() -> None:
    async def main() -> None:
        world = World(requests_per_s=45, is_unruly=True)
        try:
            environment, policy = await under_load(world)
            second = await ended(world, await deploy(world, environment, "2"))
            (component,) = second["releaseUnit"]["components"]
            await world.clock.sleep(120)
            service = await service_in(world)
            _, page = await world.call("GET", f"/runtime/scaling-policies/{policy}/decisions")
            wanted = {each["desired"] for each in page["value"]}

            assert second["status"] == "Completed", second["reason"]
            assert (component["scalingPolicyRevision"], component["replicas"]) == (1, 2)
            assert service["releaseRevision"] == 2
            assert len(service["instances"]) == 5
            assert min(wanted - {None}) >= 2
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_release_that_goes_back_has_as_many_instances_as_before() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            environment, _ = await under_load(world)
            first = await ended(world, await deploy(world, environment, "2"))
            path = f"/runtime/deployments/{first['deploymentId']}/rollback"
            _, asked = await world.call("POST", path, {})
            back = await ended(world, asked["deploymentId"])
            service = await service_in(world)

            assert back["status"] == "Completed", back["reason"]
            assert service["version"] == "1"
            assert len(service["instances"]) == 5
        finally:
            await world.stop()

    run_virtual(main())


async def rolled_back(world: World, deployment: Any) -> Any:
    path = f"/runtime/deployments/{deployment['deploymentId']}/rollback"
    _, asked = await world.call("POST", path, {})
    back = await ended(world, asked["deploymentId"])
    assert back["status"] == "Completed", back["reason"]
    return back


def departures(deployment: Any) -> set[tuple[str, str, str]]:
    """Return what every instance of the proof says."""
    return {
        (each["path"], each["recorded"], each["live"])
        for instance in deployment["proof"]["instances"]
        for each in instance["departures"]
    }


@pytest.mark.long
def test_a_rollback_tells_of_a_policy_that_was_changed_and_has_the_minimum_of_its_release() -> None:
    async def main() -> None:
        world = World(requests_per_s=1)
        try:
            await world.boot()
            environment = await provisioned(world)
            await ended(world, await deploy(world, environment, "1"))
            policy = await scaled(world, min=4, max=6, rules=[RULE])
            await ended(world, await deploy(world, environment, "2"))
            third = await ended(world, await deploy(world, environment, "3"))
            path = f"/runtime/scaling-policies/{policy}"
            status, _ = await world.call("PUT", path, {"min": 1, "max": 6, "rules": [RULE]})
            assert status == 200
            await world.clock.sleep(900)
            lowered = await service_in(world)

            back = await rolled_back(world, third)
            (component,) = back["releaseUnit"]["components"]

            assert len(lowered["instances"]) == 1
            assert back["proof"]["total"] == 4
            assert departures(back) == {("scalingPolicy", "revision 1", "revision 2")}
            assert (component["scalingPolicyRevision"], component["replicas"]) == (2, 1)
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_rollback_after_the_end_of_a_policy_leaves_no_fewer_instances_than_there_are() -> None:
    async def main() -> None:
        world = World(requests_per_s=45)
        try:
            environment, policy = await under_load(world)
            second = await ended(world, await deploy(world, environment, "2"))
            await world.call("DELETE", f"/runtime/scaling-policies/{policy}")
            await world.clock.sleep(60)

            back = await rolled_back(world, second)
            (component,) = back["releaseUnit"]["components"]

            assert (back["proof"]["total"], component["replicas"]) == (5, 5)
            assert component["askedReplicas"] == 2
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_rollback_leaves_the_tenant_binding_that_is_in_force_and_tells_of_it() -> None:
    async def main() -> None:
        world = World()
        try:
            await world.boot()
            environment = await provisioned(world)
            body = {"environmentId": environment}
            _, bound = await world.call("POST", "/runtime/tenant-bindings", body)
            binding = f"/runtime/tenant-bindings/{bound['bindingId']}"
            before = await until_status(world, binding, {"Enforced"})
            first = await ended(world, await deploy(world, environment, "1"))
            second = await ended(world, await deploy(world, environment, "2"))
            for change in ("suspend", "resume"):
                await world.call("POST", f"{binding}/{change}", {"reason": "a test"})
                await world.clock.sleep(10)
            after = await until_status(world, binding, {"Enforced"})

            back = await rolled_back(world, second)

            recorded, live = before["revision"], after["revision"]
            assert first["releaseUnit"]["tenantBindingRevision"] == recorded < live
            assert back["releaseUnit"]["tenantBindingRevision"] == live
            assert departures(back) == {
                ("tenantBinding", f"revision {recorded}", f"revision {live}")
            }
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_promoted_release_leaves_its_policy_behind_and_says_so() -> None:
    async def main() -> None:
        world = World(requests_per_s=1)
        try:
            await world.boot()
            environment = await provisioned(world)
            await ended(world, await deploy(world, environment, "1"))
            await scaled(world, min=4, max=6, rules=[RULE])
            second = await ended(world, await deploy(world, environment, "2"))
            staging = await provisioned(world, name="staging", stage="staging")
            await world.clock.sleep(3600)
            path = f"/runtime/deployments/{second['deploymentId']}/promote"
            status, asked = await world.call("POST", path, {"toEnvironmentId": staging})
            assert status == 202, asked

            promoted = await ended(world, asked["deploymentId"])
            (component,) = promoted["releaseUnit"]["components"]

            assert (component["replicas"], component["scalingPolicyRevision"]) == (2, 0)
            assert "ScalingPolicyNotPromoted" in {part["code"] for part in promoted["absent"]}
        finally:
            await world.stop()

    run_virtual(main())
