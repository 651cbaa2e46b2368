"""Readiness and liveness: asked of each instance, judged by streaks as in Kubernetes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp

from shared.kernel.clock import Clock
from shared.surfaces.spec import HttpProbe, RevisionSpec

PASSES_BELOW: Final = 400
WORKER_READY_AFTER_S: Final = 1.0
"""A worker that has not exited by then is taken for started: nobody can ask it."""
_ACCEPTS: Final = HttpProbe("", period_s=0.2, timeout_s=1.0)
"""Timing of the look at a port whose spec names no path."""

Tasks = Callable[[Coroutine[None, None, None]], None]
"""Starts something beside, which ends with the supervisor."""


class ProbeCall(Protocol):
    async def __call__(self, port: int, probe: HttpProbe) -> bool:
        """Return whether the instance on *port* passes *probe* once; never raises."""
        ...


@dataclass
class Streak:
    """The present verdict and how many answers in a row stand against it."""

    verdict: bool
    against: int = 0

    def note(self, passed: bool, probe: HttpProbe) -> None:  # noqa: FBT001  it is the answer
        if passed == self.verdict:
            self.against = 0
            return
        self.against += 1
        if self.against >= (probe.success_threshold if passed else probe.failure_threshold):
            self.verdict, self.against = passed, 0


async def probe_over_http(session: aiohttp.ClientSession, port: int, probe: HttpProbe) -> bool:
    """Return whether *port* of this machine passes *probe*, by HTTP or by accepting."""
    try:
        async with asyncio.timeout(probe.timeout_s):
            if not probe.path:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return True
            url = f"http://127.0.0.1:{port}{probe.path}"
            async with session.get(url, allow_redirects=False) as answer:
                await answer.read()
                return answer.status < PASSES_BELOW
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False


class InstanceProbes:
    """The probes of one start of one instance; what it found stays until it finds otherwise."""

    def __init__(
        self, spec: RevisionSpec, port: int | None, *, is_ready: bool, is_live: bool, now_s: float
    ) -> None:
        self._port = port
        self._readiness = spec.readiness or _ACCEPTS
        self._liveness = spec.liveness
        self._ready = Streak(is_ready)
        self._live = Streak(is_live)
        self._started_s = now_s
        self._ready_at_s = now_s + (0.0 if is_ready else self._readiness.initial_delay_s)
        self._live_at_s = now_s + (self._liveness.initial_delay_s if self._liveness else 0.0)
        self._asking: set[str] = set()

    @property
    def is_ready(self) -> bool:
        return self._ready.verdict

    @property
    def is_live(self) -> bool:
        return self._live.verdict

    def look(
        self, clock: Clock, ask: ProbeCall, beside: Tasks, changed: Callable[[], None]
    ) -> None:
        """Ask what is due; an answer that is still out is not asked for again."""
        now_s = clock.monotonic_s()
        if self._port is None:
            if not self._ready.verdict and now_s - self._started_s >= WORKER_READY_AFTER_S:
                self._ready.verdict = True
                changed()
            return
        if now_s >= self._ready_at_s and "ready" not in self._asking:
            self._ready_at_s = now_s + self._readiness.period_s
            beside(self._ask("ready", self._readiness, self._ready, ask, changed))
        if self._liveness and now_s >= self._live_at_s and "live" not in self._asking:
            self._live_at_s = now_s + self._liveness.period_s
            beside(self._ask("live", self._liveness, self._live, ask, changed))

    async def _ask(
        self,
        name: str,
        probe: HttpProbe,
        streak: Streak,
        ask: ProbeCall,
        changed: Callable[[], None],
    ) -> None:
        assert self._port is not None
        self._asking.add(name)
        try:
            before = streak.verdict
            streak.note(await ask(self._port, probe), probe)
            if streak.verdict != before:
                changed()
        finally:
            self._asking.discard(name)
