"""Readiness and liveness probes of the instances of this machine, as in Kubernetes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from shared.kernel.clock import Clock
from shared.surfaces.spec import HttpProbe, RevisionSpec

PASSES_BELOW: Final = 400
WORKER_READY_AFTER_S: Final = 1.0
"""A worker has no port to probe: it counts as started when it has run for this long."""
_TCP_PROBE: Final = HttpProbe("", period_s=0.2, timeout_s=1.0)
"""Timing of the connection attempts where a spec has no readiness path."""

Spawn = Callable[[Coroutine[None, None, None]], None]
"""Runs a coroutine as a task that ends with the supervisor."""


class SendProbe(Protocol):
    async def __call__(self, port: int, probe: HttpProbe) -> bool:
        """Return whether the instance on *port* passes *probe* once; never raises."""
        ...


async def send_probe(session: aiohttp.ClientSession, port: int, probe: HttpProbe) -> bool:
    """Return whether *port* of this machine passes *probe*; without a path a connection passes."""
    try:
        async with asyncio.timeout(probe.timeout_s):
            if not probe.path:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return True
            url = f"http://127.0.0.1:{port}{probe.path}"
            async with session.get(url, allow_redirects=False) as response:
                await response.read()
                return response.status < PASSES_BELOW
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False


@dataclass
class _ProbeState:
    """The verdict in force, and how many results in a row contradict it."""

    verdict: bool
    due_s: float
    contradictions: int = 0
    is_running: bool = False

    def record(self, passed: bool, probe: HttpProbe) -> None:  # noqa: FBT001  the result itself
        if passed == self.verdict:
            self.contradictions = 0
            return
        self.contradictions += 1
        threshold = probe.success_threshold if passed else probe.failure_threshold
        if self.contradictions >= threshold:
            self.verdict, self.contradictions = passed, 0


class InstanceProbes:
    """The probes of one start of one instance; a verdict stays until results contradict it."""

    def __init__(
        self, spec: RevisionSpec, port: int | None, *, is_ready: bool, is_live: bool, now_s: float
    ) -> None:
        self._port = port
        self._readiness = spec.readiness or _TCP_PROBE
        self._liveness = spec.liveness
        self._started_s = now_s
        ready_delay_s = 0.0 if is_ready else self._readiness.initial_delay_s
        live_delay_s = self._liveness.initial_delay_s if self._liveness else 0.0
        self._ready = _ProbeState(is_ready, now_s + ready_delay_s)
        self._live = _ProbeState(is_live, now_s + live_delay_s)

    @property
    def is_ready(self) -> bool:
        return self._ready.verdict

    @property
    def is_live(self) -> bool:
        return self._live.verdict

    def run_due(
        self, clock: Clock, send: SendProbe, spawn: Spawn, on_change: Callable[[], None]
    ) -> None:
        """Start the probes that are due; one that still runs is not started again."""
        now_s = clock.monotonic_s()
        if self._port is None:
            if not self._ready.verdict and now_s - self._started_s >= WORKER_READY_AFTER_S:
                self._ready.verdict = True
                on_change()
            return
        for state, probe in ((self._ready, self._readiness), (self._live, self._liveness)):
            if probe is not None and now_s >= state.due_s and not state.is_running:
                state.due_s = now_s + probe.period_s
                state.is_running = True
                spawn(self._run(self._port, state, probe, send, on_change))

    async def _run(
        self,
        port: int,
        state: _ProbeState,
        probe: HttpProbe,
        send: SendProbe,
        on_change: Callable[[], None],
    ) -> None:
        try:
            before = state.verdict
            state.record(await send(port, probe), probe)
            if state.verdict != before:
                on_change()
        finally:
            state.is_running = False
