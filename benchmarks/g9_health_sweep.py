"""G9: health probes 2,000 services, a fresh connection each, and stores what it found (FULL).

Ours is the timer's whole sweep: targets read and judged, the state machine, a sample of each kept.
The peer is an aiohttp client with fresh connections that asks the same and keeps nothing, the floor
asyncio alone. All ask one server in a process of its own, as many at once as ours does. In
processor time of the process that asks: the machine has others to serve.

Run as `.venv/bin/python benchmarks/g9_health_sweep.py [services]`.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp

from benchmarks.large_environment import (
    A_DEPLOYMENT,
    Consumer,
    LaterClock,
    component_of,
    run_component,
)
from benchmarks.memory_app import MemoryParts
from benchmarks.processes import running
from benchmarks.rounds import Goal, run
from function_apps.health import function_app, triggers
from function_apps.health.ports import HealthApp
from function_apps.health.use_cases import sweep
from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost
from shared.kernel.concurrency import bounded_map
from shared.kernel.entropy import SystemEntropy
from shared.probing.http_prober import HttpProber
from shared.probing.result import ProbeResult
from tests.kit.service import Sent
from tests.kit.told import ended

SERVICES: Final = 2_000
EVERY: Final = timedelta(seconds=30)
"""Between two sweeps: some then tell their heartbeat."""
IN_MEMORY: Final = "http://127.0.0.1:1/"
"""Where each instance of the surface in memory says that it listens."""
REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class ProberOfServer:
    """The prober of health, which asks the server at *port* in place of an instance in memory."""

    prober: HttpProber
    port: int

    async def probe(self, url: str, timeout_s: float) -> ProbeResult:
        assert url.startswith(IN_MEMORY)
        at_server = url.replace(IN_MEMORY, f"http://127.0.0.1:{self.port}/", 1)
        return await self.prober.probe(at_server, timeout_s)


class Sweeps:
    """Health over *count* services, one instance each, in the folder *base*."""

    def __init__(self, base: Path, count: int, port: int) -> None:
        self._count, self._clock, sent = count, LaterClock(), Sent()
        storage = LocalStorage(base / "storage", self._clock, in_memory=False)
        parts = MemoryParts(EmbeddedHost(self._clock, SystemEntropy(), sent, storage, base))
        parts.cluster.requests_per_s = 0.0
        prober = HttpProber(self._clock, owned=function_app.LOCAL_INSTANCES)
        built = function_app.build(parts.settings, parts)
        self._app: HealthApp = replace(built, prober=ProberOfServer(prober, port))
        self._cluster = parts.cluster
        self._consumer = Consumer.of(self._app, (triggers.EVENTS, triggers.COMMANDS), sent)

    async def fill(self) -> None:
        """Release all services, and sweep until nothing of it is news."""
        for first in range(0, self._count, A_DEPLOYMENT):
            units = [component_of(number) for number in range(first, first + A_DEPLOYMENT)]
            for unit in units:
                run_component(self._cluster, unit)
            at = self._clock.now()
            await self._consumer.hear(ended(1 + first // A_DEPLOYMENT, units, at=at))
        for _ in range(2):
            await self.sweep()

    async def sweep(self) -> None:
        """Probe all, later than whatever they wait for."""
        self._clock.later += EVERY
        assert await sweep.probe_due_services(self._app) == self._count


async def by_aiohttp(count: int, port: int) -> None:
    connector = aiohttp.TCPConnector(force_close=True, limit=sweep.TARGETS_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(_: int) -> None:
            async with session.get(f"http://127.0.0.1:{port}/health") as response:
                assert await response.read() == b"ok"

        await bounded_map(range(count), ask, at_once=sweep.TARGETS_AT_ONCE)


async def by_hand(count: int, port: int) -> None:
    async def ask(_: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert (await reader.read()).endswith(b"ok")
        writer.close()

    await bounded_map(range(count), ask, at_once=sweep.TARGETS_AT_ONCE)


def main(arguments: Sequence[str]) -> int:
    count = int(arguments[0]) if arguments else SERVICES
    server = [sys.executable, Path(__file__).with_name("answering_server.py")]
    with (
        asyncio.Runner() as runner,
        tempfile.TemporaryDirectory() as base,
        running(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        sweeps = Sweeps(Path(base), count, port)
        runner.run(sweeps.fill())

        def rate(ask: Callable[[], Awaitable[None]]) -> float:
            async def once() -> None:
                await ask()

            began_s = time.process_time()
            runner.run(once())
            return count / (time.process_time() - began_s)

        sides = {
            "ours": partial(rate, sweeps.sweep),
            "aiohttp": partial(rate, partial(by_aiohttp, count, port)),
            "floor": partial(rate, partial(by_hand, count, port)),
        }
        goals = [Goal("ours", "aiohttp", 1.5), Goal("ours", "floor", 0.5)]
        return run(f"G9 a sweep of {count} services, fresh connections", "probes/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
