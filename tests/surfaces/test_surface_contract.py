"""What every adapter of the surface port promises."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.fence import StaleFence
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.errors import (
    BadWeights,
    NotReady,
    RevisionDiffers,
    RevisionMissing,
    RouteTaken,
    SiteMissing,
    StillWeighted,
)
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.spec import SurfaceComponent
from tests.surfaces.stage import ENVIRONMENT, SHOP, SITE, Stage, fence

Play = Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]


def _identities(live: LiveComponent) -> set[tuple[Any, ...]]:
    return {(i.id, i.pid, i.started_at) for r in live.revisions for i in r.instances}


def test_an_applied_revision_becomes_ready_and_has_no_traffic(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.surface.apply(stage.spec(replicas=2), fence(1))

        live = await stage.until(lambda seen: seen.revisions[0].phase is Phase.READY)

        assert live.revisions[0].ready == 2
        assert live.weights == {}
        assert live.revisions[0].unit == {"configurationHash": "c0ffee"}
        assert live.fence == 1

    play(scenario)


def test_a_write_repeated_changes_nothing(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1), stage.spec(2), weights={1: 90, 2: 10})
        before = await stage.until(lambda _: True)

        await stage.surface.ensure_site(SITE, fence(1))
        await stage.surface.apply(stage.spec(2), fence(1))
        await stage.surface.set_weights(SHOP, {1: 90, 2: 10}, fence(1))
        await stage.surface.scale(SHOP, 1, 1, fence(1))
        await stage.surface.remove(SHOP, 7, fence(1))

        after = await stage.until(lambda _: True)
        assert _identities(after) == _identities(before)
        assert after.weights == before.weights == {1: 90, 2: 10}

    play(scenario)


def test_a_lower_fence_is_refused_and_changes_nothing(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        surface = stage.surface
        await surface.ensure_site(replace(SITE, facts={"region": "there"}), fence(3))
        await surface.apply(stage.spec(1), fence(5))
        await stage.until(lambda seen: seen.revisions[0].phase is Phase.READY)
        await surface.set_weights(SHOP, {1: 100}, fence(5))
        before = await stage.until(lambda _: True)

        await stage.restart()

        for stale in (
            stage.surface.apply(stage.spec(2), fence(4)),
            stage.surface.scale(SHOP, 1, 3, fence(4)),
            stage.surface.set_weights(SHOP, {}, fence(4)),
            stage.surface.remove(SHOP, 1, fence(4)),
            stage.surface.ensure_site(SITE, fence(2)),
            stage.surface.delete_site(ENVIRONMENT, fence(2)),
        ):
            with pytest.raises(StaleFence, match="token"):
                await stale
        after = await stage.until(lambda _: True)
        site = await stage.surface.read_site(ENVIRONMENT)
        assert _identities(after) == _identities(before)
        assert after.weights == {1: 100}
        assert isinstance(site, Present)
        assert site.value.facts == {"region": "there"}

    play(scenario)


def test_a_killed_host_finds_the_same_instances_and_weights(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1, replicas=2), stage.spec(2), weights={1: 60, 2: 40})
        before = await stage.until(lambda _: True)

        await stage.restart()

        after = await stage.until(lambda seen: all(r.phase is Phase.READY for r in seen.revisions))
        assert _identities(after) == _identities(before)
        assert after.weights == {1: 60, 2: 40}

    play(scenario)


def test_weight_goes_to_ready_capacity_only(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1), weights={1: 100})
        await stage.surface.apply(stage.spec(2, replicas=2), fence(1))

        with pytest.raises(NotReady) as refused:
            await stage.surface.set_weights(SHOP, {1: 50, 2: 50}, fence(1))

        assert (refused.value.ready, refused.value.needed) == (0, 1)
        assert (await stage.until(lambda _: True)).weights == {1: 100}

    play(scenario)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param({1: 90}, id="less-than-the-whole"),
        pytest.param({1: 150, 2: -50}, id="a-negative-share"),
    ],
)
def test_weights_that_are_no_split_are_refused(play: Play, weights: dict[int, int]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1), stage.spec(2))

        with pytest.raises(BadWeights, match="100"):
            await stage.surface.set_weights(SHOP, weights, fence(1))

        assert (await stage.until(lambda _: True)).weights == {}

    play(scenario)


def test_writes_to_what_is_not_there_are_refused_by_name(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1))

        with pytest.raises(RevisionMissing):
            await stage.surface.set_weights(SHOP, {9: 100}, fence(1))
        with pytest.raises(RevisionMissing):
            await stage.surface.scale(SHOP, 9, 1, fence(1))
        await stage.surface.delete_site(ENVIRONMENT, fence(1))
        with pytest.raises(SiteMissing):
            await stage.surface.apply(stage.spec(1), fence(1))

    play(scenario)


def test_a_revision_never_changes_its_content(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1))

        with pytest.raises(RevisionDiffers):
            await stage.surface.apply(stage.spec(1, version="other"), fence(1))

        assert (await stage.until(lambda _: True)).revisions[0].version == "1.0"

    play(scenario)


def test_a_path_prefix_has_one_component(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        other = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-other"))
        await stage.serve(stage.spec(1))

        with pytest.raises(RouteTaken, match="module-shop"):
            await stage.surface.apply(stage.spec(1, component=other), fence(1))

        assert isinstance(await stage.surface.observe(other), Absent)

    play(scenario)


def test_a_removed_revision_drains_and_goes(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1, drain_s=1.0), stage.spec(2), weights={1: 100})
        with pytest.raises(StillWeighted):
            await stage.surface.remove(SHOP, 1, fence(1))
        await stage.surface.set_weights(SHOP, {2: 100}, fence(1))

        await stage.surface.remove(SHOP, 1, fence(1))

        draining = await stage.until(lambda _: True)
        assert draining.revision(1) is not None
        assert draining.revision(1).phase is Phase.DRAINING
        assert len(draining.revision(1).instances) == 1
        gone = await stage.until(lambda seen: seen.revision(1) is None)
        assert gone.weights == {2: 100}

    play(scenario)


def test_a_draining_revision_is_taken_back_with_its_instances(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        old = stage.spec(1, drain_s=5.0)
        await stage.serve(old, stage.spec(2), weights={2: 100})
        before = await stage.until(lambda _: True)
        await stage.surface.remove(SHOP, 1, fence(1))

        await stage.surface.apply(old, fence(2))
        await stage.surface.set_weights(SHOP, {1: 100}, fence(2))

        after = await stage.until(lambda _: True)
        assert _identities(after) == _identities(before)
        assert after.weights == {1: 100}

    play(scenario)


def test_scaling_keeps_the_oldest_instances(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1), weights={1: 100})
        first = await stage.until(lambda _: True)

        await stage.surface.scale(SHOP, 1, 3, fence(1))
        await stage.until(lambda seen: seen.revisions[0].ready == 3)
        await stage.surface.scale(SHOP, 1, 1, fence(1))

        last = await stage.until(lambda seen: len(seen.revisions[0].instances) == 1)
        assert _identities(last) == _identities(first)

    play(scenario)


def test_each_live_instance_proves_what_it_runs(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1, replicas=2), stage.spec(2, release=None))

        proofs = await stage.surface.prove(SHOP)

        assert isinstance(proofs, Present)
        assert [
            (p.revision, p.release, p.release_source, p.unit, p.holds) for p in proofs.value
        ] == [
            (1, "1.0", "answer", {"configurationHash": "c0ffee"}, True),
            (1, "1.0", "answer", {"configurationHash": "c0ffee"}, True),
            (2, "2.0", "environ", {"configurationHash": "c0ffee"}, True),
        ]
        assert all(p.content_digest == p.expected_digest for p in proofs.value)

    play(scenario)


def test_the_inventory_is_whole_and_a_deleted_site_is_absent(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        worker = SurfaceComponent(ENVIRONMENT, SHOP.tenant, ModuleId("module-worker"))
        await stage.serve(stage.spec(1))
        await stage.surface.apply(stage.worker(1, component=worker), fence(1))

        seen = await stage.surface.inventory(ENVIRONMENT)
        await stage.surface.delete_site(ENVIRONMENT, fence(2))
        after = await stage.surface.inventory(ENVIRONMENT)

        assert isinstance(seen, Present)
        assert [(c.component, c.endpoint is None) for c in seen.value] == [
            (SHOP, False),
            (worker, True),
        ]
        assert isinstance(after, Absent)
        assert isinstance(await stage.surface.read_site(ENVIRONMENT), Absent)
        assert isinstance(await stage.surface.observe(SHOP), Absent)

    play(scenario)


def test_a_read_that_fails_is_unknown_and_changes_nothing(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1), weights={1: 100})

        stage.break_reads()

        for reading in (
            await stage.surface.observe(SHOP),
            await stage.surface.inventory(ENVIRONMENT),
            await stage.surface.traffic(SHOP),
            await stage.surface.prove(SHOP),
        ):
            assert isinstance(reading, Unknown), reading
            assert reading.reason

    play(scenario)


def test_a_site_keeps_its_endpoint(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        before = await stage.surface.read_site(ENVIRONMENT)

        await stage.restart()
        await stage.surface.ensure_site(replace(SITE, facts={"region": "there"}), fence(2))

        after = await stage.surface.read_site(ENVIRONMENT)
        assert isinstance(before, Present)
        assert isinstance(after, Present)
        assert after.value.endpoint == before.value.endpoint
        assert after.value.facts == {"region": "there"}

    play(scenario)


def test_an_instance_keeps_its_output(play: Play) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.serve(stage.spec(1))
        instance = (await stage.until(lambda _: True)).revisions[0].instances[0].id

        lines = await stage.surface.logs(SHOP, instance, 5)

        assert isinstance(lines, Present)
        assert any("started" in line for line in lines.value)
        assert isinstance(await stage.surface.logs(SHOP, "module-shop-9-9", 5), Absent)

    play(scenario)
