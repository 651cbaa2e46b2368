"""A hold is on the whole unit that was rolled back: another one of the same archive is not held."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import Held, HoldsFull
from function_apps.deployments.model import module_queue, release_unit
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.holds import HoldRef
from function_apps.deployments.model.module_queue import HOLDS_MAX
from shared.contracts.strategies import OnConflict
from shared.contracts.values import ModuleId
from shared.kernel.fence import Fence
from shared.kernel.ids import DeploymentId
from tests.deployments.driven import SHOP, TEST, WEB, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import published
from tests.deployments.test_one_change_per_module import ROLLBACK, claim
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

OTHERWISE = [
    pytest.param({"version": "1.1"}, id="version"),
    pytest.param({"environ": {"MODE": "safe"}}, id="environ"),
    pytest.param({"resources": {"memoryMib": 512}}, id="memory"),
    pytest.param({"command": ["python", "server.py", "--safe"]}, id="command"),
    pytest.param({"replicas": 2}, id="replicas"),
    pytest.param({"pathPrefix": "/shop"}, id="path-prefix"),
    pytest.param({"probes": {"readiness": {"path": "/ready"}}}, id="probes"),
]


async def one_in_force(world: Driven) -> None:
    await world.tell()
    await world.release("one")


async def turned_back(world: Driven, content: str, **changes: Any) -> None:
    """Release *content* otherwise than before, and have it turned back."""
    digest = await world.upload(content)
    world.health.bad.add(digest)
    answer = await world.deploy(await world.component(content, **changes))
    await world.settle()
    assert await world.status(answer["deploymentId"]) == "RolledBack"
    world.health.bad.discard(digest)


@pytest.mark.parametrize("changes", OTHERWISE)
def test_the_same_archive_run_otherwise_is_another_unit_and_deployable(
    changes: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "two")

        answer = await world.deploy(await world.component("two", **changes))
        await world.settle()

        assert await world.status(answer["deploymentId"]) == "Completed"

    run_virtual(main())


@pytest.mark.parametrize("changes", OTHERWISE)
def test_a_unit_that_differs_from_what_is_in_force_in_one_thing_is_held_by_itself(
    changes: dict[str, Any],
) -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "one", **changes)

        with pytest.raises(Held, match="release-hold"):
            await world.deploy(await world.component("one", **changes))

    run_virtual(main())


def test_what_stays_in_force_is_not_held_with_a_unit_of_the_same_archive() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "one", environ={"MODE": "bad"})

        again = await world.release("one", restart=True)

        assert again.status == "Completed"

    run_virtual(main())


def test_a_unit_that_was_turned_back_for_its_configuration_is_deployable_with_the_next_one() -> (
    None
):
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await published(world, version=1, revision=1)
        await turned_back(world, "two")

        with pytest.raises(Held):
            await world.release("two")
        await published(world, version=2, revision=2)
        again = await world.release("two")

        assert again.status == "Completed"

    run_virtual(main())


def test_a_hold_shows_version_and_digest_of_what_is_held() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "two", version="2.0")

        (event,) = world.bench.sent.bodies("RuntimeDeploymentRolledBack")

        (hold,) = event["payload"]["holds"]
        assert (hold["moduleId"], hold["version"]) == (SHOP, "2.0")
        assert hold["digest"] == await world.upload("two")

    run_virtual(main())


def test_holds_are_never_dropped_for_newer_ones() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        for number in range(5):
            await turned_back(world, f"bad {number}")

        for number in range(5):
            with pytest.raises(Held):
                await world.deploy(await world.component(f"bad {number}"))

    run_virtual(main())


def test_a_unit_is_not_held_for_what_the_surface_refused_in_the_last_moment() -> None:
    async def main() -> None:
        world = driven()
        await one_in_force(world)
        other = release_unit.to_revision_spec(
            release_unit.planned(
                (
                    await world.command(await world.component("web", WEB, pathPrefix="/a"))
                ).components,
                TENANT,
                await world.target(),
                {},
                {},
            )[0],
            TEST,
            TENANT,
            world.app.rules.rollout,
        )
        (surface,) = world.app.surfaces.values()
        await surface.apply(other, Fence(1, "op", "unknown to the target"))

        answer = await world.deploy(await world.component("two", pathPrefix="/a"))
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.reason is not None
        assert (done.status, done.reason.code) == ("RolledBack", "RouteTaken")
        assert done.holds == ()

    run_virtual(main())


def test_an_environment_full_of_holds_takes_a_rollback_but_no_new_deployment() -> None:
    refs = tuple(HoldRef(f"{n:016x}", DeploymentId("dep")) for n in range(HOLDS_MAX))
    target = replace(DeploymentTarget(TEST), holds={ModuleId(SHOP): refs})

    with pytest.raises(HoldsFull):
        module_queue.enqueue(target, claim("a", SHOP), OnConflict.QUEUE)

    assert module_queue.enqueue(target, claim("r", SHOP, kind=ROLLBACK), OnConflict.QUEUE)
