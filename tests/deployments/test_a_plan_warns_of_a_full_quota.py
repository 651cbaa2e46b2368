"""A dry run warns where the quota of the tenant has no room for what the plan starts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import pytest

from function_apps.deployments.use_cases.deploy import plan_deployment
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary, BoundarySpec, CountedCapacity, Quota
from shared.surfaces.spec import Resources
from tests.deployments.driven import TEST, Driven, driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual
from tests.surfaces.harness import fence

THREE = Quota(instances=3)


async def bound(world: Driven, quota: Quota) -> None:
    surface = world.app.surfaces[ComputeTargetKind.LOCAL_PROCESS]
    assert isinstance(surface, MemorySurface)
    spec = BoundarySpec(TEST, TENANT, quota)
    await surface.ensure_boundary(spec, fence(1))


async def warnings(world: Driven, replicas: int, kind: str = "canary") -> Sequence[str]:
    component = await world.component("two", replicas=replicas)
    command = await world.command(component, strategy={"kind": kind})
    plan = await plan_deployment(command, world.ctx, world.app)
    assert plan.refusals == ()
    return [each for each in plan.warnings if each.startswith("LocalProcess: ")]


def warned(replicas: int, kind: str = "canary", *, quota: Quota = THREE) -> Sequence[str]:
    """Return the warnings of a plan while two instances run."""

    async def main() -> Sequence[str]:
        world = driven()
        await world.tell()
        await bound(world, quota)
        await world.deploy(await world.component("one", replicas=2))
        await world.settle()
        return await warnings(world, replicas, kind)

    return run_virtual(main())


@pytest.mark.parametrize(
    ("replicas", "kind", "limit"),
    [
        pytest.param(2, "canary", 4, id="beside what runs"),
        pytest.param(3, "recreate", 3, id="in place of what runs"),
    ],
)
def test_a_plan_that_has_room_warns_of_nothing(replicas: int, kind: str, limit: int) -> None:
    assert warned(replicas, kind, quota=Quota(instances=limit)) == []


def test_a_plan_without_room_beside_what_runs_says_so_and_what_to_do() -> None:
    (warning,) = warned(2)

    assert warning.startswith(
        "LocalProcess: no room beside what runs: exceeded quota: tenant, requested: instances=2,"
        " used: instances=2, limited: instances=3."
    )
    assert "`recreate`" in warning


@pytest.mark.parametrize("kind", ["canary", "recreate"])
def test_a_plan_that_is_larger_than_the_quota_is_told_apart(kind: str) -> None:
    (warning,) = warned(4, kind)

    assert "it never starts: exceeded quota: tenant, requested: instances=4" in warning


def test_an_instance_without_a_limit_that_the_quota_needs_is_told_by_its_name() -> None:
    (warning,) = warned(1, quota=Quota(cpu=2.0))

    assert warning == "LocalProcess: it never starts: failed quota: tenant: must specify cpu"


class _Answering(MemorySurface):
    """A surface whose boundary is what *answer* makes of that in memory."""

    answer: Callable[[Boundary], Awaitable[Reading[Boundary]]]

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]:
        reading = await super().read_boundary(environment, tenant)
        assert isinstance(reading, Present)
        return await self.answer(reading.value)


async def planned(
    answer: Callable[[Boundary], Awaitable[Reading[Boundary]]], replicas: int, kind: str = "canary"
) -> tuple[Sequence[str], float]:
    """Return the warnings of a plan, and the seconds that it took."""
    world = driven()
    await world.tell()
    await bound(world, THREE)
    surface = _Answering(world.world)
    surface.answer = answer
    world.app = replace(world.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})
    began_s = world.app.service.clock.monotonic_s()
    found = await warnings(world, replicas, kind)
    return found, world.app.service.clock.monotonic_s() - began_s


@pytest.mark.parametrize(
    "used",
    [
        pytest.param(Quota(), id="nothing is counted"),
        pytest.param(Quota(cpu=1.0, memory_mb=64), id="instances are not counted"),
    ],
)
def test_what_a_cluster_has_not_counted_yet_takes_no_room(used: Quota) -> None:
    async def uncounted(boundary: Boundary) -> Reading[Boundary]:
        return Present(replace(boundary, used=used))

    assert run_virtual(planned(uncounted, 3))[0] == []


def held_to(capacity: CountedCapacity, kind: str = "canary") -> Sequence[str]:
    """Return the warnings of a plan of three instances in an environment of that *capacity*."""

    async def with_capacity(boundary: Boundary) -> Reading[Boundary]:
        return Present(replace(boundary, capacity=capacity))

    return run_virtual(planned(with_capacity, 3, kind))[0]


TWO_CORES: Final = CountedCapacity(Quota(cpu=2.0), Quota(cpu=1.0), Resources(cpu=0.5))
"""One instance without limits of its own is counted with half a core."""


def test_a_full_capacity_is_told_by_its_name() -> None:
    (warning,) = held_to(TWO_CORES)

    assert warning.startswith(
        "LocalProcess: no room beside what runs: exceeded quota: capacity, requested: cpu=1.5,"
        " used: cpu=1, limited: cpu=2."
    )


@pytest.mark.parametrize("kind", ["canary", "recreate"])
def test_a_plan_that_is_larger_than_the_capacity_never_starts(kind: str) -> None:
    (warning,) = held_to(replace(TWO_CORES, quota=Quota(cpu=1.0)), kind)

    assert "it never starts: exceeded quota: capacity, requested: cpu=1.5" in warning


def test_a_capacity_with_room_is_no_warning() -> None:
    assert held_to(replace(TWO_CORES, used=Quota(cpu=0.5))) == []
    assert held_to(TWO_CORES, "recreate") == []


async def _unknown(_boundary: Boundary) -> Reading[Boundary]:
    return Unknown("the cluster is away")


async def _absent(_boundary: Boundary) -> Reading[Boundary]:
    return Absent()


async def _defect(_boundary: Boundary) -> Reading[Boundary]:
    raise OSError("defect")


async def _silence(_boundary: Boundary) -> Reading[Boundary]:
    await asyncio.Event().wait()
    raise AssertionError("it never answers")


@pytest.mark.parametrize(
    ("answer", "longest_s"),
    [
        pytest.param(_unknown, 0, id="unknown"),
        pytest.param(_absent, 0, id="absent"),
        pytest.param(_defect, 0, id="defect"),
        pytest.param(_silence, 3, id="silence"),
    ],
)
def test_a_boundary_that_cannot_be_read_is_no_warning_and_delays_a_plan_by_three_seconds_at_most(
    answer: Callable[[Boundary], Awaitable[Reading[Boundary]]], longest_s: float
) -> None:
    found, took_s = run_virtual(planned(answer, 9))

    assert found == []
    assert took_s == pytest.approx(longest_s, abs=1)
