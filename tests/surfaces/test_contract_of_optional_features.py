"""What a surface promises that declares a feature which not every surface has."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from shared.kernel.errors import Invalid
from shared.kernel.fence import StaleFence
from shared.kernel.ids import TenantId
from shared.kernel.observation import Absent, Present
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota, boundary_properties
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import NotOwner, RevisionMissing, SiteMissing
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.port import Boundaries, NativeScaling, Restarts
from shared.surfaces.scaling import (
    EventRule,
    Measure,
    ReplicasOwner,
    ScalingRules,
    UtilizationRule,
)
from shared.surfaces.spec import Resources, TcpProbe
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
GLOBEX = TenantId("globex")
BY_CPU = UtilizationRule(Measure.CPU, 70)
SIZED = Resources(cpu=0.1)
"""A share of CPU is one of what an instance asked for."""
TWO_TO_FIVE = ScalingRules(2, 5, (BY_CPU,))
BOUNDARY = BoundarySpec(
    ENVIRONMENT,
    GLOBEX,
    quota=Quota(cpu=2.0, memory_mb=1024, instances=5),
    limits=Resources(memory_mb=128, cpu=0.25),
)
THEIRS = replace(SHOP, tenant=GLOBEX)


def scaling(harness: SurfaceHarness) -> NativeScaling:
    return cast("NativeScaling", harness.surface)


def restarts(harness: SurfaceHarness) -> Restarts:
    return cast("Restarts", harness.surface)


def boundaries(harness: SurfaceHarness) -> Boundaries:
    return cast("Boundaries", harness.surface)


async def boundary(harness: SurfaceHarness, tenant: TenantId = GLOBEX) -> Boundary:
    reading = await boundaries(harness).read_boundary(ENVIRONMENT, tenant)
    assert isinstance(reading, Present), reading
    return reading.value


def started(live: LiveComponent) -> set[Any]:
    return {(each.id, each.started_at) for each in live.revisions[0].instances}


@pytest.mark.sample
@pytest.mark.shows(Feature.NATIVE_SCALING)
def test_rules_take_the_number_of_instances_over(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, resources=SIZED), weights={1: 100})

        await scaling(harness).set_scaling(SHOP, 1, TWO_TO_FIVE, fence(1))

        live = await harness.until(lambda live: live.revisions[0].ready == 2)
        assert live.revisions[0].replicas_owner is ReplicasOwner.SURFACE
        assert live.revisions[0].minimum == 2
        with pytest.raises(NotOwner):
            await harness.surface.scale(SHOP, 1, 4, fence(3))
        with pytest.raises(StaleFence):
            await harness.surface.scale(SHOP, 1, 4, fence(2))

    run_scenario(scenario)


@pytest.mark.shows(Feature.NATIVE_SCALING)
def test_what_is_applied_again_leaves_the_number_to_the_rules(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, resources=SIZED), weights={1: 100})
        await scaling(harness).set_scaling(SHOP, 1, TWO_TO_FIVE, fence(1))
        before = await harness.until(lambda live: live.revisions[0].ready == 2)

        await harness.surface.apply(harness.spec(1, resources=SIZED), fence(2))

        after = await harness.until(lambda live: live.revisions[0].ready == 2)
        assert started(after) == started(before)
        assert after.revisions[0].replicas == 2

    run_scenario(scenario)


@pytest.mark.shows(Feature.NATIVE_SCALING)
def test_a_number_that_is_taken_back_stays_until_it_is_changed(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, resources=SIZED), weights={1: 100})
        await scaling(harness).set_scaling(SHOP, 1, TWO_TO_FIVE, fence(1))
        await harness.until(lambda live: live.revisions[0].ready == 2)

        await scaling(harness).set_scaling(SHOP, 1, None, fence(1))
        taken_back = await harness.until(
            lambda live: live.revisions[0].replicas_owner is ReplicasOwner.PLATFORM
        )
        await harness.surface.scale(SHOP, 1, 1, fence(1))

        assert taken_back.revisions[0].replicas == 2
        assert taken_back.revisions[0].minimum is None
        await harness.until(lambda live: len(live.revisions[0].instances) == 1)

    run_scenario(scenario)


@pytest.mark.shows(Feature.NATIVE_SCALING)
def test_rules_are_fenced_and_need_a_revision(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, resources=SIZED), weights={1: 100})
        await harness.surface.scale(SHOP, 1, 1, fence(3))

        with pytest.raises(StaleFence):
            await scaling(harness).set_scaling(SHOP, 1, TWO_TO_FIVE, fence(2))
        with pytest.raises(RevisionMissing):
            await scaling(harness).set_scaling(SHOP, 7, TWO_TO_FIVE, fence(3))

        live = await harness.until(lambda _: True)
        assert live.revisions[0].replicas_owner is ReplicasOwner.PLATFORM

    run_scenario(scenario)


@pytest.mark.shows(Feature.EVENT_SCALING)
def test_rules_of_events_take_the_number_over_too(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.worker(1))
        by_queue = EventRule("azure-queue", {"queueName": "orders", "queueLength": "5"})

        await scaling(harness).set_scaling(SHOP, 1, ScalingRules(1, 3, (by_queue,)), fence(1))

        live = await harness.until(
            lambda live: live.revisions[0].replicas_owner is ReplicasOwner.SURFACE
        )
        assert live.revisions[0].replicas == 1

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"minimum": -1}, "/minimum", id="fewer-than-none"),
        pytest.param({"maximum": 1}, "/maximum", id="less-than-the-minimum"),
        pytest.param({"minimum": 0, "maximum": 0}, "/maximum", id="never-one"),
        pytest.param({"rules": ()}, "/rules", id="no-rule"),
        pytest.param({"cooldown_s": -1.0}, "/cooldown", id="before-now"),
    ],
)
def test_rules_that_no_surface_could_follow_cannot_be_made(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        replace(TWO_TO_FIVE, **changes)

    assert refused.value.target == field


@pytest.mark.shows(Feature.RESTART)
def test_a_restart_replaces_each_instance_once(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        before = await harness.until(lambda _: True)

        await restarts(harness).restart(SHOP, 1, fence(1, "restart"))
        after = await harness.until(
            lambda live: live.revisions[0].ready == 2 and not started(live) & started(before)
        )
        await restarts(harness).restart(SHOP, 1, fence(1, "restart"))

        assert started(await harness.until(lambda _: True)) == started(after)
        assert after.weights == {1: 100}

    run_scenario(scenario)


@pytest.mark.shows(Feature.RESTART)
def test_a_restart_is_fenced_and_needs_a_revision(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})
        await harness.surface.scale(SHOP, 1, 1, fence(3))
        before = await harness.until(lambda _: True)

        with pytest.raises(StaleFence):
            await restarts(harness).restart(SHOP, 1, fence(2, "restart"))
        with pytest.raises(RevisionMissing):
            await restarts(harness).restart(SHOP, 7, fence(3, "restart"))

        assert started(await harness.until(lambda _: True)) == started(before)

    run_scenario(scenario)


@pytest.mark.shows(Feature.QUOTAS)
def test_a_boundary_is_as_its_spec_says_and_can_be_changed(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await boundaries(harness).ensure_boundary(BOUNDARY, fence(1))
        first = await boundary(harness)
        wider = replace(BOUNDARY, quota=Quota(cpu=4.0, memory_mb=2048, instances=9))

        await boundaries(harness).ensure_boundary(wider, fence(1))

        second = await boundary(harness)
        assert first.properties == boundary_properties(BOUNDARY)
        assert second.properties == boundary_properties(wider)
        assert (second.tenant, second.name, second.is_ready) == (GLOBEX, first.name, True)

    run_scenario(scenario)


@pytest.mark.shows(Feature.NAMESPACES)
def test_a_tenant_that_is_admitted_has_its_own_components(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        theirs = replace(SHOP, tenant=GLOBEX)
        await boundaries(harness).ensure_boundary(BOUNDARY, fence(1))
        await harness.serve(harness.spec(1))
        await harness.serve(harness.spec(1, component=theirs, path_prefix=None))

        inventory = await harness.surface.inventory(ENVIRONMENT)

        assert isinstance(inventory, Present)
        assert [each.component for each in inventory.value.components] == [SHOP, theirs]

    run_scenario(scenario)


@pytest.mark.sample
@pytest.mark.shows(Feature.QUOTAS)
def test_a_boundary_shows_what_its_instances_take(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        theirs = replace(SHOP, tenant=GLOBEX)
        await boundaries(harness).ensure_boundary(BOUNDARY, fence(1))
        empty = await boundary(harness)
        await harness.serve(harness.spec(1, component=theirs, path_prefix=None, replicas=2))

        full = await boundary(harness)

        assert (empty.used.instances, full.used.instances) == (0, 2)

    run_scenario(scenario)


async def bind(harness: SurfaceHarness, **quota: Any) -> None:
    limits = Resources(memory_mb=64 if "memory_mb" in quota else None)
    spec = replace(BOUNDARY, quota=Quota(**quota), limits=limits)
    await boundaries(harness).ensure_boundary(spec, fence(1))


def refused(live: LiveComponent) -> list[str]:
    """Return why instances of *live* are not started."""
    instances = [each for revision in live.revisions for each in revision.instances]
    return [each.message for each in instances if each.reason == "CannotStart"]


@pytest.mark.shows(Feature.QUOTAS)
@pytest.mark.parametrize(
    "quota", [{"instances": 2}, {"memory_mb": 160}], ids=["instances", "memory"]
)
def test_an_instance_beyond_the_quota_is_not_started_and_says_why(
    run_scenario: RunScenario, quota: dict[str, Any]
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await bind(harness, **quota)
        await harness.serve(harness.worker(1, component=THEIRS, replicas=2))

        await harness.surface.scale(THEIRS, 1, 3, fence(1))

        live = await harness.until(refused, THEIRS)
        assert "exceeded quota: tenant" in refused(live)[0]
        assert live.revisions[0].ready == 2
        assert (await boundary(harness)).used.instances in {2, None}

    run_scenario(scenario)


@pytest.mark.shows(Feature.QUOTAS)
def test_two_releases_of_one_tenant_share_its_quota_and_no_other_tenant_does(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await bind(harness, instances=3)
        await harness.serve(harness.worker(1, replicas=2))
        await harness.serve(harness.worker(1, component=THEIRS, replicas=2))

        second = harness.worker(2, component=THEIRS, replicas=2)
        await harness.surface.apply(second, fence(1))

        live = await harness.until(
            lambda live: bool(refused(live)) and live.revisions[1].ready == 1, THEIRS
        )
        assert [each.ready for each in live.revisions] == [2, 1]

    run_scenario(scenario)


@pytest.mark.shows(Feature.QUOTAS)
def test_a_smaller_quota_ends_nothing_that_runs(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await bind(harness, instances=2)
        await harness.serve(harness.worker(1, component=THEIRS, replicas=2))
        before = await harness.until(lambda _: True, THEIRS)

        await bind(harness, instances=1)
        await harness.surface.scale(THEIRS, 1, 3, fence(1))

        live = await harness.until(refused, THEIRS)
        assert live.revisions[0].ready == 2
        assert started(before) <= started(live)

    run_scenario(scenario)


@pytest.mark.shows(Feature.QUOTAS)
def test_a_boundary_that_is_deleted_takes_its_workloads_and_no_others(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        theirs = replace(SHOP, tenant=GLOBEX)
        await boundaries(harness).ensure_boundary(BOUNDARY, fence(1))
        await harness.serve(harness.spec(1, drain_s=0.0))
        await harness.serve(harness.spec(1, component=theirs, path_prefix=None, drain_s=0.0))

        await boundaries(harness).delete_boundary(ENVIRONMENT, GLOBEX, fence(1))

        await harness.until_gone(theirs)
        gone = await boundaries(harness).read_boundary(ENVIRONMENT, GLOBEX)
        assert isinstance(gone, Absent)
        assert (await harness.until(lambda _: True)).revisions[0].phase is Phase.READY
        await boundaries(harness).delete_boundary(ENVIRONMENT, GLOBEX, fence(1))

    run_scenario(scenario)


@pytest.mark.shows(Feature.QUOTAS)
def test_a_boundary_is_fenced_and_needs_a_site(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await boundaries(harness).ensure_boundary(BOUNDARY, fence(3))
        elsewhere = replace(BOUNDARY, environment=f"{ENVIRONMENT}-other")

        with pytest.raises(StaleFence):
            await boundaries(harness).ensure_boundary(replace(BOUNDARY, quota=Quota()), fence(2))
        with pytest.raises(StaleFence):
            await boundaries(harness).delete_boundary(ENVIRONMENT, GLOBEX, fence(2))
        with pytest.raises(SiteMissing):
            await boundaries(harness).ensure_boundary(elsewhere, fence(3))

        assert (await boundary(harness)).properties == boundary_properties(BOUNDARY)

    run_scenario(scenario)


@pytest.mark.shows(Feature.SCALE_TO_ZERO)
def test_a_revision_may_have_no_instance_and_comes_back(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.worker(1, drain_s=0.0))

        await harness.surface.scale(SHOP, 1, 0, fence(1))
        none = await harness.until(lambda live: not live.revisions[0].instances)
        await harness.surface.scale(SHOP, 1, 1, fence(1))

        assert none.revisions[0].replicas == 0
        await harness.until(lambda live: live.revisions[0].ready == 1)

    run_scenario(scenario)


@pytest.mark.shows(Feature.WORKERS)
def test_a_worker_becomes_ready_without_an_address(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.worker(1))

        live = await harness.until(lambda _: True)

        assert live.endpoint is None
        assert live.weights == {}
        assert isinstance(await harness.surface.traffic(SHOP), Absent)

    run_scenario(scenario)


@pytest.mark.shows(Feature.TCP_PROBES)
def test_a_connection_makes_an_instance_ready(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, readiness=TcpProbe(period_s=1)), weights={1: 100})

        assert (await harness.until(lambda _: True)).weights == {1: 100}

    run_scenario(scenario)
