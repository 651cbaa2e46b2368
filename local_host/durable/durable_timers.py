"""Fires durable timers when they are due."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Final

from shared.kernel.clock import Clock

_LONGEST_SLEEP_S: Final = 60.0
"""A clock that was set, or a machine that slept, is noticed after at most this."""

DurableTimer = tuple[datetime, str, str, int]
"""Its instant, instance, execution and id."""


class DurableTimers:
    """Timers by their due time; *fire* is called once for each, in that order."""

    def __init__(self, clock: Clock, fire: Callable[[DurableTimer], None]) -> None:
        self._clock = clock
        self._fire_timer = fire
        self._heap: list[DurableTimer] = []
        self._scheduled: set[tuple[str, str, int]] = set()
        self._sooner = asyncio.Event()

    def schedule(self, timer: DurableTimer) -> None:
        """Fire at the timer's instant, at once if that has passed. Repeats are ignored."""
        if timer[1:] in self._scheduled:
            return
        self._scheduled.add(timer[1:])
        heapq.heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._sooner.set()

    async def run(self) -> None:
        """Serve until canceled."""
        while True:
            self._sooner.clear()
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                timer = heapq.heappop(self._heap)
                self._scheduled.discard(timer[1:])
                self._fire_timer(timer)
            if not self._heap:
                await self._sooner.wait()
                continue
            delay_s = (self._heap[0][0] - now).total_seconds()
            await self._sleep(min(delay_s, _LONGEST_SLEEP_S))

    async def _sleep(self, delay_s: float) -> None:
        """Return after *delay_s*, or when an earlier timer has been scheduled."""
        sooner = asyncio.ensure_future(self._sooner.wait())
        asleep = asyncio.ensure_future(self._clock.sleep(delay_s))
        try:
            await asyncio.wait({sooner, asleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sooner, asleep):
                task.cancel()
            # Not each by itself: whoever is canceled meanwhile would be taken for the task.
            await asyncio.wait({sooner, asleep})
