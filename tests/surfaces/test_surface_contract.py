"""What every adapter of the surface port promises."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.fence import StaleFence
from shared.kernel.ids import ModuleId, TenantId
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import (
    BadWeights,
    NotReady,
    PathNotOwned,
    RevisionDiffers,
    RevisionMissing,
    RouteTaken,
    SiteMissing,
    StillWeighted,
)
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.spec import HttpProbe, SurfaceComponent
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]


def _identities(live: LiveComponent) -> set[tuple[Any, ...]]:
    return {(i.id, i.pid, i.started_at) for r in live.revisions for i in r.instances}


@pytest.mark.sample
@pytest.mark.shows(Feature.HTTP_PROBES)
def test_an_applied_revision_becomes_ready_and_has_no_traffic(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.surface.apply(harness.spec(replicas=2), fence(1))

        live = await harness.until(lambda live: live.revisions[0].phase is Phase.READY)

        assert live.revisions[0].ready == 2
        assert live.weights == {}
        assert live.revisions[0].unit == {"configurationHash": "c0ffee"}
        assert live.fence == 1

    run_scenario(scenario)


@pytest.mark.shows(Feature.ARTIFACTS)
def test_an_archive_is_run_by_its_digest(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1))

        live = await harness.until(lambda _: True)

        assert harness.template.image is None
        assert live.revisions[0].artifact == harness.template.artifact

    run_scenario(scenario)


def test_a_write_repeated_changes_nothing(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), harness.spec(2), weights={1: 90, 2: 10})
        before = await harness.until(lambda _: True)

        await harness.surface.ensure_site(SITE, fence(1))
        await harness.surface.apply(harness.spec(2), fence(1))
        await harness.surface.set_weights(SHOP, {1: 90, 2: 10}, fence(1))
        await harness.surface.scale(SHOP, 1, 1, fence(1))
        await harness.surface.remove(SHOP, 7, fence(1))

        after = await harness.until(lambda _: True)
        assert _identities(after) == _identities(before)
        assert after.weights == before.weights == {1: 90, 2: 10}

    run_scenario(scenario)


@pytest.mark.sample
def test_a_lower_fence_is_refused_and_changes_nothing(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        surface = harness.surface
        await surface.ensure_site(replace(SITE, facts={"region": "there"}), fence(3))
        await surface.apply(harness.spec(1), fence(5))
        await harness.until(lambda live: live.revisions[0].phase is Phase.READY)
        await surface.set_weights(SHOP, {1: 100}, fence(5))
        before = await harness.until(lambda _: True)

        await harness.restart()

        for stale in (
            harness.surface.apply(harness.spec(2), fence(4)),
            harness.surface.scale(SHOP, 1, 3, fence(4)),
            harness.surface.set_weights(SHOP, {}, fence(4)),
            harness.surface.remove(SHOP, 1, fence(4)),
            harness.surface.ensure_site(SITE, fence(2)),
            harness.surface.delete_site(ENVIRONMENT, fence(2)),
        ):
            with pytest.raises(StaleFence, match="token"):
                await stale
        after = await harness.until(lambda _: True)
        site = await harness.surface.read_site(ENVIRONMENT)
        assert _identities(after) == _identities(before)
        assert after.weights == {1: 100}
        assert isinstance(site, Present)
        assert site.value.facts == {"region": "there"}

    run_scenario(scenario)


def test_a_killed_host_finds_the_same_instances_and_weights(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, replicas=2), harness.spec(2), weights={1: 60, 2: 40})
        before = await harness.until(lambda _: True)

        await harness.restart()

        after = await harness.until(
            lambda live: all(r.phase is Phase.READY for r in live.revisions)
        )
        assert _identities(after) == _identities(before)
        assert after.weights == {1: 60, 2: 40}

    run_scenario(scenario)


@pytest.mark.sample
@pytest.mark.shows(Feature.TRAFFIC_SPLIT)
def test_weight_goes_to_ready_capacity_only(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})
        late = HttpProbe("/ready", initial_delay_s=PATIENCE_S)
        await harness.surface.apply(harness.spec(2, replicas=2, readiness=late), fence(1))

        with pytest.raises(NotReady) as refused:
            await harness.surface.set_weights(SHOP, {1: 50, 2: 50}, fence(1))

        assert "needs 1 ready instances for that weight and has 0" in refused.value.message
        assert (await harness.until(lambda _: True)).weights == {1: 100}

    run_scenario(scenario)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param({1: 90}, id="less-than-the-whole"),
        pytest.param({1: 150, 2: -50}, id="a-negative-share"),
    ],
)
def test_weights_that_are_no_split_are_refused(
    run_scenario: RunScenario, weights: dict[int, int]
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), harness.spec(2))

        with pytest.raises(BadWeights, match="100"):
            await harness.surface.set_weights(SHOP, weights, fence(1))

        assert (await harness.until(lambda _: True)).weights == {}

    run_scenario(scenario)


def test_writes_to_what_is_not_there_are_refused_by_name(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1))

        with pytest.raises(RevisionMissing):
            await harness.surface.set_weights(SHOP, {9: 100}, fence(1))
        with pytest.raises(RevisionMissing):
            await harness.surface.scale(SHOP, 9, 1, fence(1))
        await harness.surface.delete_site(ENVIRONMENT, fence(1))
        with pytest.raises(SiteMissing):
            await harness.surface.apply(harness.spec(1), fence(1))

    run_scenario(scenario)


def test_a_revision_never_changes_its_content(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1))

        with pytest.raises(RevisionDiffers):
            await harness.surface.apply(harness.spec(1, version="other"), fence(1))

        assert (await harness.until(lambda _: True)).revisions[0].version == "1.0"

    run_scenario(scenario)


@pytest.mark.shows(Feature.PATH_ROUTING)
def test_a_path_prefix_has_one_component(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        other = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-other"))
        await harness.serve(harness.spec(1))

        with pytest.raises(RouteTaken, match="module-shop"):
            await harness.surface.apply(harness.spec(1, component=other), fence(1))

        assert isinstance(await harness.surface.observe(other), Absent)

    run_scenario(scenario)


@pytest.mark.shows(Feature.PATH_ROUTING)
@pytest.mark.parametrize("prefix", ["/", "/-", "/shop"])
@pytest.mark.parametrize("is_first", [True, False], ids=["before-the-owner", "after-the-owner"])
def test_another_tenant_has_no_path_of_the_public_port(
    run_scenario: RunScenario, prefix: str, *, is_first: bool
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        guest = SurfaceComponent(ENVIRONMENT, TenantId("guest"), ModuleId("module-theirs"))
        if not is_first:
            await harness.serve(harness.spec(1), weights={1: 100})

        with pytest.raises(PathNotOwned) as refused:
            await harness.surface.apply(
                harness.spec(1, component=guest, path_prefix=prefix), fence(1)
            )

        assert "module-shop" not in refused.value.message
        assert isinstance(await harness.surface.observe(guest), Absent)

    run_scenario(scenario)


def test_a_removed_revision_drains_and_goes(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, drain_s=1.0), harness.spec(2), weights={1: 100})
        with pytest.raises(StillWeighted):
            await harness.surface.remove(SHOP, 1, fence(1))
        await harness.surface.set_weights(SHOP, {2: 100}, fence(1))

        await harness.surface.remove(SHOP, 1, fence(1))

        draining = await harness.until(lambda _: True)
        assert draining.revision(1) is not None
        assert draining.revision(1).phase is Phase.DRAINING
        assert len(draining.revision(1).instances) == 1
        gone = await harness.until(lambda live: live.revision(1) is None)
        assert gone.weights == {2: 100}

    run_scenario(scenario)


@pytest.mark.shows(Feature.INSTANT_ROLLBACK)
def test_a_draining_revision_is_taken_back_with_its_instances(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        old = harness.spec(1, drain_s=5.0)
        await harness.serve(old, harness.spec(2), weights={2: 100})
        before = await harness.until(lambda _: True)
        await harness.surface.remove(SHOP, 1, fence(1))

        await harness.surface.apply(old, fence(2))
        await harness.until(lambda live: live.revisions[0].phase is Phase.READY)
        await harness.surface.set_weights(SHOP, {1: 100}, fence(2))

        after = await harness.until(lambda _: True)
        assert after.weights == {1: 100}
        if harness.keeps_instances:
            assert _identities(after) == _identities(before)

    run_scenario(scenario)


def test_scaling_keeps_the_oldest_instances(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})
        first = await harness.until(lambda _: True)

        await harness.surface.scale(SHOP, 1, 3, fence(1))
        await harness.until(lambda live: live.revisions[0].ready == 3)
        await harness.surface.scale(SHOP, 1, 1, fence(1))

        last = await harness.until(lambda live: len(live.revisions[0].instances) == 1)
        assert _identities(last) == _identities(first)

    run_scenario(scenario)


@pytest.mark.sample
@pytest.mark.shows(Feature.SELF_PROOF)
def test_each_live_instance_proves_what_it_runs(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1, replicas=2), harness.spec(2, release=None))

        proofs = await harness.surface.prove(SHOP)
        of_one = await harness.surface.prove(SHOP, 2)

        assert isinstance(of_one, Present)
        assert [each.revision for each in of_one.value] == [2]
        assert isinstance(proofs, Present)
        assert [
            (p.revision, p.release, p.release_source, p.unit, p.holds) for p in proofs.value
        ] == [
            (1, "1.0", "answer", {"configurationHash": "c0ffee"}, True),
            (1, "1.0", "answer", {"configurationHash": "c0ffee"}, True),
            (2, "2.0", "start", {"configurationHash": "c0ffee"}, True),
        ]
        assert all(p.content_digest == p.expected_digest for p in proofs.value)

    run_scenario(scenario)


def test_the_inventory_is_whole_and_a_deleted_site_is_absent(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        worker = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-worker"))
        await harness.serve(harness.spec(1))
        await harness.surface.apply(harness.worker(1, component=worker), fence(1))

        reading = await harness.surface.inventory(ENVIRONMENT)
        await harness.surface.delete_site(ENVIRONMENT, fence(2))
        after = await harness.surface.inventory(ENVIRONMENT)

        assert isinstance(reading, Present)
        assert reading.value.is_complete
        assert [(c.component, c.endpoint is None) for c in reading.value.components] == [
            (SHOP, False),
            (worker, True),
        ]
        assert isinstance(after, Absent)
        assert isinstance(await harness.surface.read_site(ENVIRONMENT), Absent)
        assert isinstance(await harness.surface.observe(SHOP), Absent)

    run_scenario(scenario)


def test_a_read_that_fails_is_unknown_and_changes_nothing(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})

        harness.break_reads()

        for reading in (
            await harness.surface.observe(SHOP),
            await harness.surface.traffic(SHOP),
            await harness.surface.prove(SHOP),
        ):
            assert isinstance(reading, Unknown), reading
            assert reading.reason

    run_scenario(scenario)


def test_an_inventory_says_what_it_could_not_read(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})

        harness.break_reads()

        match await harness.surface.inventory(ENVIRONMENT):
            case Present(inventory):
                assert inventory.may_have(SHOP.service)
                assert inventory.unread_because([SHOP.service])
            case reading:
                assert isinstance(reading, Unknown), reading

    run_scenario(scenario)


def test_a_site_keeps_its_endpoint(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        before = await harness.surface.read_site(ENVIRONMENT)

        await harness.restart()
        await harness.surface.ensure_site(replace(SITE, facts={"region": "there"}), fence(2))

        after = await harness.surface.read_site(ENVIRONMENT)
        assert isinstance(before, Present)
        assert isinstance(after, Present)
        assert after.value.endpoint == before.value.endpoint
        assert after.value.facts == {"region": "there"}

    run_scenario(scenario)


def test_an_instance_keeps_its_output(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0].id

        lines = await harness.surface.logs(SHOP, instance, 5)

        assert isinstance(lines, Present)
        assert any("started" in line for line in lines.value)
        assert await harness.surface.kept_outputs(SHOP, 1) == Present((instance,))
        assert isinstance(await harness.surface.kept_outputs(SHOP, 9), Absent)
        assert isinstance(await harness.surface.logs(SHOP, "module-shop-9-9", 5), Absent)

    run_scenario(scenario)
