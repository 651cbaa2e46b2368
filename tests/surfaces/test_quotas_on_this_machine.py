"""The quota of a tenant on this machine: what is counted, for how long, and past what."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from shared.kernel.errors import Invalid
from shared.kernel.ids import ModuleId, TenantId
from shared.kernel.observation import Present
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import SiteMissing
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.port import Boundaries
from shared.surfaces.spec import Resources, SurfaceComponent
from tests.surfaces.harness import ACME, ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import local_process_harness

pytestmark = [pytest.mark.real, pytest.mark.shows(Feature.QUOTAS, on="local-process")]
GLOBEX = TenantId("globex")
THEIRS: SurfaceComponent = replace(SHOP, tenant=GLOBEX)
OTHER: SurfaceComponent = replace(THEIRS, module=ModuleId("module-other"))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SurfaceHarness]:
    async with local_process_harness(tmp_path) as opened:
        yield opened


async def bind(harness: SurfaceHarness, quota: Quota, **changes: Any) -> None:
    spec = BoundarySpec(ENVIRONMENT, GLOBEX, quota, **changes)
    await cast("Boundaries", harness.surface).ensure_boundary(spec, fence(1))


async def boundary(harness: SurfaceHarness, tenant: TenantId = GLOBEX) -> Boundary:
    reading = await cast("Boundaries", harness.surface).read_boundary(ENVIRONMENT, tenant)
    assert isinstance(reading, Present), reading
    return reading.value


def is_refused(live: LiveComponent) -> bool:
    return any(each.reason == "CannotStart" for each in live.revisions[0].instances)


async def memory_held(pid: int | None) -> int:
    """Return how many MiB the kernel gives the workload of the instance *pid* at most."""
    workload = psutil.Process(pid).children(recursive=True)[-1]
    limits = await asyncio.to_thread(Path(f"/proc/{workload.pid}/limits").read_text)
    (held,) = [line.split() for line in limits.splitlines() if line.startswith("Max data size")]
    assert held[3] == held[4]
    return int(held[3]) // 2**20


async def test_what_was_refused_starts_once_another_component_left_room(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(instances=1))
    await harness.serve(harness.worker(component=THEIRS, drain_s=0.0))
    await harness.surface.apply(harness.worker(component=OTHER), fence(1))
    refused = await harness.until(is_refused, OTHER)

    await harness.surface.remove(THEIRS, 1, fence(1))

    (waiting,) = refused.revisions[0].instances
    assert waiting.unready_because == (
        "CannotStart: exceeded quota: tenant, requested: instances=1, used: instances=1,"
        " limited: instances=1"
    )
    assert (waiting.pid, waiting.failed_starts) == (None, 1)
    await harness.until(lambda live: live.revisions[0].ready == 1, OTHER)


async def test_a_quota_counts_on_when_the_agent_starts_again(harness: SurfaceHarness) -> None:
    await bind(harness, Quota(instances=2))
    await harness.serve(harness.worker(component=THEIRS, replicas=2))
    await harness.restart()

    await harness.surface.apply(harness.worker(component=OTHER), fence(1))

    await harness.until(is_refused, OTHER)
    assert (await boundary(harness)).used == Quota(0.0, 0, 2)


async def test_an_instance_that_ended_has_its_place_also_in_a_smaller_quota(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(instances=1))
    await harness.serve(harness.worker(component=THEIRS))
    live = await harness.until(lambda live: live.revisions[0].ready == 1, THEIRS)
    await bind(harness, Quota(memory_mb=16))

    os.kill(live.revisions[0].instances[0].pid or 0, signal.SIGKILL)

    await harness.until(
        lambda live: live.revisions[0].ready == 1 and live.revisions[0].instances[0].restarts == 1,
        THEIRS,
    )


async def test_an_instance_without_a_limit_is_held_to_that_of_its_boundary(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(memory_mb=500), limits=Resources(memory_mb=200))
    own = harness.worker(component=OTHER, resources=Resources(memory_mb=100))
    await harness.serve(own)
    await harness.serve(harness.worker(component=THEIRS))

    live = await harness.until(lambda live: live.revisions[0].ready == 1, THEIRS)

    assert (await boundary(harness)).used.memory_mb == 300
    assert await memory_held(live.revisions[0].instances[0].pid) == 200


async def test_an_instance_from_before_the_quota_counts_and_is_held_once_it_starts_again(
    harness: SurfaceHarness,
) -> None:
    await harness.serve(harness.worker(component=THEIRS))
    live = await harness.until(lambda live: live.revisions[0].ready == 1, THEIRS)
    await bind(harness, Quota(memory_mb=256), limits=Resources(memory_mb=200, cpu=0.5))
    assert (await boundary(harness)).used == Quota(0.5, 200, 1)
    await harness.surface.apply(harness.worker(component=OTHER), fence(1))
    await harness.until(is_refused, OTHER)

    os.kill(live.revisions[0].instances[0].pid or 0, signal.SIGKILL)

    live = await harness.until(
        lambda live: live.revisions[0].ready == 1 and live.revisions[0].instances[0].restarts == 1,
        THEIRS,
    )
    assert await memory_held(live.revisions[0].instances[0].pid) == 200


async def test_a_thousandth_of_a_core_is_the_least_that_is_counted(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(cpu=1.0))
    tiny = Resources(cpu=0.0004)

    await harness.serve(harness.worker(component=THEIRS, replicas=2, resources=tiny))

    assert (await boundary(harness)).used == Quota(0.002, 0, 2)


async def test_cores_are_counted_by_the_share_of_the_boundary_and_cannot_be_left_out(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(cpu=0.3), limits=Resources(cpu=0.1))
    await harness.serve(harness.worker(component=THEIRS, replicas=3))
    await bind(harness, Quota(cpu=4.0))
    await harness.surface.apply(harness.worker(component=OTHER), fence(1))

    live = await harness.until(is_refused, OTHER)

    assert live.revisions[0].instances[0].message == "failed quota: tenant: must specify cpu"
    assert (await boundary(harness)).used == Quota(0.3, 0, 3)


async def test_a_damaged_record_of_another_tenant_stops_nobody_and_an_own_one_does(
    harness: SurfaceHarness, tmp_path: Path
) -> None:
    await bind(harness, Quota(instances=3))
    await harness.serve(harness.worker())
    await harness.serve(harness.worker(component=THEIRS))
    running = tmp_path / "surface" / "sites" / ENVIRONMENT / "running"
    (running / f"{SHOP.service}.json").write_text("{")
    await harness.surface.apply(harness.worker(component=OTHER), fence(1))
    await harness.until(lambda live: live.revisions[0].ready == 1, OTHER)

    (running / f"{THEIRS.service}.json").write_text("{")
    await harness.surface.scale(OTHER, 1, 2, fence(1))

    live = await harness.until(is_refused, OTHER)
    assert "is not known" in live.revisions[0].instances[-1].message


async def test_a_tenant_that_left_has_no_place_until_it_is_bound_again(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(instances=3))
    surface = cast("Boundaries", harness.surface)
    await surface.delete_boundary(ENVIRONMENT, GLOBEX, fence(1))

    with pytest.raises(SiteMissing, match="has no boundary"):
        await harness.surface.apply(harness.worker(component=THEIRS), fence(1))
    await bind(harness, Quota())

    await harness.serve(harness.worker(component=THEIRS))


async def test_the_owner_has_a_boundary_with_the_site_and_a_new_site_knows_no_quota(
    harness: SurfaceHarness,
) -> None:
    await bind(harness, Quota(instances=3))
    assert (await boundary(harness, ACME)).properties == {}
    await harness.surface.delete_site(ENVIRONMENT, fence(1, "site"))
    await harness.surface.ensure_site(SITE, fence(1, "site"))

    left = await cast("Boundaries", harness.surface).read_boundary(ENVIRONMENT, GLOBEX)

    assert not isinstance(left, Present)


async def test_the_owner_deploys_to_its_site_that_was_bound_and_made_again_and_its_quota_is_gone(
    harness: SurfaceHarness,
) -> None:
    surface = cast("Boundaries", harness.surface)
    await surface.ensure_boundary(BoundarySpec(ENVIRONMENT, ACME, Quota(instances=1)), fence(1))
    await harness.surface.delete_site(ENVIRONMENT, fence(1, "site"))
    await harness.surface.ensure_site(SITE, fence(1, "site"))

    await harness.serve(harness.worker(replicas=2))

    assert (await boundary(harness, ACME)).properties == {}


@pytest.mark.parametrize("changes", [{"identity": "id"}, {"may_reach": ("10.0.0.0/8",)}])
async def test_what_a_machine_cannot_give_to_a_tenant_is_refused(
    harness: SurfaceHarness, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid, match="LocalProcess cannot honour"):
        await bind(harness, Quota(), **changes)
