"""A recreate goes back in a full quota too: there the rejected version stops first."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.contracts.deployments import DeploymentStatus
from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import Refused
from shared.surfaces.boundaries import BoundarySpec, Quota
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual
from tests.surfaces.harness import fence

RECREATE: Mapping[str, Any] = {"kind": "recreate"}


async def with_quota(instances: int) -> Driven:
    """Return a world whose tenant may have *instances*."""
    world = driven()
    await world.tell()
    surface = world.app.surfaces[ComputeTargetKind.LOCAL_PROCESS]
    assert isinstance(surface, MemorySurface)
    spec = BoundarySpec(TEST, TENANT, Quota(instances=instances))
    await surface.ensure_boundary(spec, fence(1))
    return world


async def released(world: Driven, release: Mapping[str, int], **more: Any) -> Any:
    """Release modules with their numbers of instances, and return the deployment as it ended."""
    name = "two" if more else "one"
    components = [
        await world.component(f"{module} {name}", module, replicas=replicas)
        for module, replicas in release.items()
    ]
    answer = await world.deploy(*components, **more)
    await world.settle(within_s=20_000)
    return await world.deployment(answer["deploymentId"])


@pytest.mark.parametrize(
    ("before", "rejected"),
    [
        pytest.param({SHOP: 1}, {SHOP: 3}, id="it has the whole quota"),
        pytest.param({SHOP: 3}, {SHOP: 1}, id="the previous one had"),
        pytest.param({SHOP: 1, CART: 2}, {SHOP: 2, CART: 1}, id="two modules change places"),
        pytest.param({SHOP: 3}, {SHOP: 2, CART: 1}, id="a new module has a part"),
    ],
)
def test_a_full_quota_has_room_for_the_way_back(
    before: Mapping[str, int], rejected: Mapping[str, int]
) -> None:
    async def main() -> None:
        world = await with_quota(3)
        await released(world, before)
        world.health.bad.add(await world.upload(f"{SHOP} two"))

        done = await released(world, rejected, strategy=RECREATE)

        assert done.status is DeploymentStatus.ROLLED_BACK
        for module, replicas in before.items():
            assert world.live(module) == ({1: replicas}, {1: 100})

    run_virtual(main())


@pytest.mark.parametrize(
    ("quota", "beside"),
    [
        pytest.param(1, {}, id="there is no room"),
        pytest.param(2, {2: 1}, id="there is room"),
    ],
)
def test_the_rejected_version_stops_before_the_previous_one_starts_where_that_needs_its_room(
    quota: int, beside: Mapping[int, int]
) -> None:
    async def main() -> None:
        world = await with_quota(quota)
        await released(world, {SHOP: 1})
        world.health.bad.add(await world.upload(f"{SHOP} two"))
        seen: list[Mapping[int, int]] = []
        world.interfere = lambda name: (
            seen.append(world.live()[0]) if name == "restore_previous" else None
        )

        await released(world, {SHOP: 1}, strategy=RECREATE)

        assert seen[0] == beside

    run_virtual(main())


def test_a_boundary_that_cannot_be_read_takes_nothing_away() -> None:
    async def main() -> None:
        world = await with_quota(1)
        await released(world, {SHOP: 1})
        world.health.bad.add(await world.upload(f"{SHOP} two"))
        seen: list[Mapping[int, int]] = []

        def interfere(name: str) -> None:
            world.world.unreadable = "it is away" if name == "stop_candidate" else ""
            if name == "restore_previous":
                seen.append(world.live()[0])

        world.interfere = interfere
        await released(world, {SHOP: 1}, strategy=RECREATE)

        assert seen[0] == {2: 1}

    run_virtual(main())


def test_what_cannot_be_stopped_holds_no_rollback_up() -> None:
    async def main() -> None:
        world = await with_quota(2)
        await released(world, {SHOP: 1})
        world.health.bad.add(await world.upload(f"{SHOP} two"))

        def refuse(name: str) -> None:
            if name == "stop_candidate":
                raise Refused("it will not", code="WillNot")

        world.interfere = refuse
        done = await released(world, {SHOP: 1}, strategy=RECREATE)

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_what_the_whole_quota_never_takes_stops_nothing() -> None:
    async def main() -> None:
        world = await with_quota(3)
        await released(world, {SHOP: 1})

        done = await released(world, {SHOP: 4}, strategy=RECREATE)

        assert done.reason is not None
        assert (done.status, done.reason.code) == (DeploymentStatus.FAILED, "CannotStart")
        assert "it never starts: exceeded quota" in done.reason.message
        assert (world.live(), done.holds) == (({1: 1}, {1: 100}), ())
        assert "stop_previous" not in world.contexts[-1].asked

    run_virtual(main())
