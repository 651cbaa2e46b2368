"""Waiting without polling: a counter of arrivals, and a timer for the earliest of many instants."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from shared.kernel.clock import Clock

_log = logging.getLogger(__name__)
_AFTER_A_FAILURE_S: Final = 1.0


class Arrivals:
    """Counts arrivals. Read `count`, look for messages, then wait for a change of that count.

    That order loses no wake-up, however many wait. They go on in the order in which they came.
    """

    def __init__(self) -> None:
        self.count = 0
        self._waiting: dict[asyncio.Future[None], None] = {}

    def notify(self) -> None:
        self.count += 1
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def since(self, count: int) -> None:
        """Return when something arrived after *count* was read."""
        if self.count != count:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            await waiter
        finally:
            self._waiting.pop(waiter, None)


class EarliestTimer:
    """Calls *fire* once at the earliest instant it was set to; *fire* sets it for what is left."""

    def __init__(self, clock: Clock, fire: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._fire = fire
        self._at_s = math.inf
        self._earlier = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def set(self, at_s: float) -> None:
        """Fire no later than *at_s* (monotonic seconds)."""
        if at_s < self._at_s:
            self._at_s = at_s
            self._earlier.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="timer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while True:
            self._earlier.clear()
            delay_s = self._at_s - self._clock.monotonic_s()
            if delay_s > 0:
                await self._pause(delay_s)
                continue
            self._at_s = math.inf
            try:
                await self._fire()
            except Exception:  # noqa: BLE001  whatever it was, locks must go on running out
                _log.exception("a timer's work failed, next attempt in %g s", _AFTER_A_FAILURE_S)
                self.set(self._clock.monotonic_s() + _AFTER_A_FAILURE_S)

    async def _pause(self, delay_s: float) -> None:
        """Return after *delay_s*, or when an earlier instant was set."""
        if math.isinf(delay_s):
            await self._earlier.wait()
            return
        sleep = asyncio.ensure_future(self._clock.sleep(delay_s))
        earlier = asyncio.ensure_future(self._earlier.wait())
        try:
            await asyncio.wait((sleep, earlier), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            earlier.cancel()
