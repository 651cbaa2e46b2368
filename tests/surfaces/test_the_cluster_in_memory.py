"""What tests rely on in the surface in memory, beyond the contract."""

from dataclasses import replace

import pytest

from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.observed_state import Phase
from tests.kit.memory_cluster import Behaviour, MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, SITE, TEMPLATE, fence

OLD = TEMPLATE
NEW = replace(TEMPLATE, revision=2, version="2.0", artifact="sha256:" + "b" * 64)


@pytest.mark.shows(Feature.REQUEST_COUNTERS, on="memory")
def test_traffic_follows_weights_and_behaviour() -> None:
    async def scenario() -> None:
        cluster = MemoryCluster(LoopClock(), SeededEntropy(7), requests_per_s=50)
        cluster.behaviours[NEW.artifact] = Behaviour(latency_ms=60, error_ratio=0.1)
        surface = MemorySurface(cluster)
        await surface.ensure_site(SITE, fence(1))
        for spec in (OLD, NEW):
            await surface.apply(spec, fence(1))
        await cluster.clock.sleep(1.5)
        await surface.set_weights(SHOP, {1: 80, 2: 20}, fence(1))

        await cluster.clock.sleep(100)

        sample = await surface.traffic(SHOP)
        assert isinstance(sample, Present)
        old, new = sample.value.revisions[1], sample.value.revisions[2]
        assert (old.requests, new.requests) == (4000, 1000)
        assert old.errors == 0
        assert 60 < new.errors < 140
        assert 18 < (old.latency.quantile_ms(0.5) or 0) < 22
        assert 55 < (new.latency.quantile_ms(0.5) or 0) < 65

    run_virtual(scenario())


def test_a_release_that_never_becomes_ready_stays_starting() -> None:
    async def scenario() -> None:
        cluster = MemoryCluster(LoopClock(), SeededEntropy(7))
        cluster.behaviours[OLD.artifact] = Behaviour(becomes_ready=False)
        surface = MemorySurface(cluster)
        await surface.ensure_site(SITE, fence(1))
        await surface.apply(OLD, fence(1))

        await cluster.clock.sleep(3600)

        reading = await surface.observe(SHOP)
        assert isinstance(reading, Present)
        assert reading.value.revisions[0].phase is Phase.STARTING
        assert reading.value.revisions[0].ready == 0

    run_virtual(scenario())


def test_a_crashed_instance_is_another_process_and_a_changed_one_departs() -> None:
    async def scenario() -> None:
        cluster = MemoryCluster(LoopClock(), SeededEntropy(7))
        surface = MemorySurface(cluster)
        await surface.ensure_site(SITE, fence(1))
        await surface.apply(OLD, fence(1))
        before = await surface.observe(SHOP)
        assert isinstance(before, Present)
        was = before.value.revisions[0].instances[0]
        await cluster.clock.sleep(5)

        cluster.crash(SHOP, was.id)
        cluster.tampered.add(was.id)

        after = await surface.observe(SHOP)
        proofs = await surface.prove(SHOP)
        assert isinstance(after, Present)
        assert isinstance(proofs, Present)
        now = after.value.revisions[0].instances[0]
        assert (now.pid == was.pid, now.restarts, now.is_ready) == (False, 1, False)
        assert [proof.holds for proof in proofs.value] == [False]

    run_virtual(scenario())
