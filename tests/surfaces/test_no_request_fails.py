"""Clients that never retry see no failure while weights move, releases swap, the agent dies."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from local_agent.process_identity import start_ticks
from shared.kernel.clock import SystemClock
from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.traffic import RevisionTraffic
from tests.kit.machine_processes import workloads_below
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence
from tests.surfaces.local_process_harness import agent_harness, local_process_harness

pytestmark = pytest.mark.real


@dataclass
class Client:
    """Sends 50 requests a second through the public endpoint, each once."""

    url: str
    is_done: bool = False
    served: int = 0
    failed: list[str] = field(default_factory=list)
    releases: dict[str, int] = field(default_factory=dict)

    async def ask(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(self.url) as answer:
                body = await answer.json(content_type=None)
                if answer.status >= 500:
                    self.failed.append(f"status {answer.status}")
                    return
                version = body["release"]["version"]
                self.releases[version] = self.releases.get(version, 0) + 1
                self.served += 1
        except (aiohttp.ClientError, TimeoutError, ValueError) as failed:
            self.failed.append(repr(failed))

    async def until_served(self, count: int) -> None:
        while self.served < count and not self.failed:
            await SystemClock().sleep(0.02)

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=30)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            asyncio.TaskGroup() as requests,
        ):
            while not self.is_done:
                requests.create_task(self.ask(session))
                await SystemClock().sleep(0.02)


@asynccontextmanager
async def _client(harness: SurfaceHarness) -> AsyncIterator[Client]:
    site = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(site, Present)
    client = Client(site.value.endpoint)
    running = asyncio.create_task(client.run())
    yield client
    client.is_done = True
    await running


async def _counted(harness: SurfaceHarness, *revisions: int) -> list[RevisionTraffic]:
    """Return the counters of *revisions* once their histograms have caught up with them."""
    for _ in range(100):
        sample = await harness.surface.traffic(SHOP)
        assert isinstance(sample, Present)
        traffic = [sample.value.revisions[revision] for revision in revisions]
        if all(counters.latency.total == counters.requests for counters in traffic):
            return traffic
        await harness.clock.sleep(0.05)
    raise AssertionError(f"the latencies never caught up with the requests: {traffic}")


async def _roll_out(harness: SurfaceHarness, revision: int, others: Iterable[int]) -> None:
    """Bring all traffic to *revision* by way of a split, then remove *others*."""
    await harness.serve(harness.spec(revision))
    before = await harness.until(lambda _: True)
    for share in (50, 100):
        split = {old: percent * (100 - share) // 100 for old, percent in before.weights.items()}
        rest = 100 - sum(p for old, p in split.items() if old != revision)
        await harness.surface.set_weights(SHOP, {**split, revision: rest}, fence(1))
    for old in others:
        await harness.surface.remove(SHOP, old, fence(1))


async def _roll_on(harness: SurfaceHarness, ended: asyncio.Event) -> int:
    """Roll out one revision after another until *ended*; return the last one."""
    last = 1
    while not ended.is_set():
        there = [r.revision for r in (await harness.until(lambda _: True)).revisions]
        last = max(there) + 1
        await _roll_out(harness, last, there)
    return last


@pytest.mark.shows(Feature.REQUEST_COUNTERS, on="local-process")
async def test_weight_changes_and_a_swap_cost_no_request(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        surface = harness.surface
        await harness.serve(harness.spec(1), harness.spec(2), weights={1: 100})
        before = await surface.traffic(SHOP)

        async with _client(harness) as client:
            for step in range(20):
                percent = (step * 37) % 101
                await surface.set_weights(SHOP, {1: 100 - percent, 2: percent}, fence(1))
                await client.until_served(client.served + 2)
            await harness.serve(harness.spec(3, replicas=2), weights={3: 100})
            for old in (1, 2):
                await surface.remove(SHOP, old, fence(1))
            await harness.until(lambda live: [r.revision for r in live.revisions] == [3])
            await surface.scale(SHOP, 3, 1, fence(1))
            await harness.until(lambda live: len(live.revisions[0].instances) == 1)

        after = await surface.traffic(SHOP)
        assert client.failed == []
        assert client.served > 50
        assert client.releases.keys() == {"1.0", "2.0", "3.0"}
        assert isinstance(before, Present)
        assert isinstance(after, Present)
        assert after.value.since(before.value)[3].requests == client.releases["3.0"]


async def test_the_traffic_of_each_revision_is_counted(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        slow = replace(harness.spec(2), environ={"VERSION": "2.0", "DELAY_S": "1"})
        await harness.serve(harness.spec(1), slow, weights={1: 50, 2: 50})

        async with _client(harness) as client:
            await client.until_served(80)
        fast, slow_one = await _counted(harness, 1, 2)

        assert fast.requests + slow_one.requests == client.served
        assert fast.by_class == {"2xx": fast.requests}
        assert fast.latency.total == fast.requests
        fast_ms, slow_ms = (each.latency.quantile_ms(0.5) or 0 for each in (fast, slow_one))
        assert 0 < fast_ms < 750
        assert slow_ms > 950


@pytest.mark.long
async def test_a_killed_agent_leaves_everything_serving(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), harness.spec(2), weights={1: 70, 2: 30})
        before = await harness.until(lambda live: live.weights == {1: 70, 2: 30})

        async with _client(harness) as client:
            await client.until_served(15)
            harness.kill_host()
            served = client.served
            await client.until_served(served + 35)
            while_dead = client.served - served
            after = await harness.until(lambda _: True)
            await harness.surface.set_weights(SHOP, {2: 100}, fence(2))

        assert client.failed == []
        assert while_dead >= 35
        assert [(i.pid, i.started_at) for r in after.revisions for i in r.instances] == [
            (i.pid, i.started_at) for r in before.revisions for i in r.instances
        ]
        assert after.weights == {1: 70, 2: 30}
        assert all(start_ticks(i.pid or 0) for r in after.revisions for i in r.instances)


@pytest.mark.long
async def test_rollouts_whose_agent_is_killed_again_and_again_end_right(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})

        async with _client(harness) as client:
            ended = asyncio.Event()
            rollouts = asyncio.create_task(_roll_on(harness, ended))
            for delay_s in (0.3, 1.2, 0.1, 0.7, 1.6, 0.9, 0.5, 2.0):
                await harness.until(lambda _: True)
                await harness.clock.sleep(delay_s)
                harness.kill_host()
            ended.set()
            last = await rollouts
            after = await harness.until(lambda live: [r.revision for r in live.revisions] == [last])

        assert client.failed == []
        assert last > 2
        assert after.weights == {last: 100}
        ours = workloads_below(tmp_path)
        assert ours == [i.pid for r in after.revisions for i in r.instances]
