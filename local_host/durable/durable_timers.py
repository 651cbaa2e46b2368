"""Wakes the engine when a durable timer is due."""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from shared.kernel.clock import Clock

_LONGEST_SLEEP_S: Final = 60.0
"""A clock that was set, or a machine that slept, is noticed after at most this."""

Alarm = tuple[datetime, str, str, int]
"""When, instance, execution, and the timer's id."""


class Alarms:
    """Timers by their due time; *ring* is called once for each, in that order."""

    def __init__(self, clock: Clock, ring: Callable[[Alarm], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._heap: list[Alarm] = []
        self._armed: set[tuple[str, str, int]] = set()
        self._sooner = asyncio.Event()

    def arm(self, alarm: Alarm) -> None:
        """Ring at the alarm's time, at once if that has passed; a second arming is ignored."""
        if alarm[1:] in self._armed:
            return
        self._armed.add(alarm[1:])
        heapq.heappush(self._heap, alarm)
        if self._heap[0] is alarm:
            self._sooner.set()

    async def run(self) -> None:
        """Serve until canceled."""
        while True:
            self._sooner.clear()
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                alarm = heapq.heappop(self._heap)
                self._armed.discard(alarm[1:])
                self._ring(alarm)
            if not self._heap:
                await self._sooner.wait()
                continue
            delay_s = (self._heap[0][0] - now).total_seconds()
            await self._sleep(min(delay_s, _LONGEST_SLEEP_S))

    async def _sleep(self, delay_s: float) -> None:
        """Return after *delay_s*, or when an earlier alarm has been armed."""
        sooner = asyncio.ensure_future(self._sooner.wait())
        asleep = asyncio.ensure_future(self._clock.sleep(delay_s))
        try:
            await asyncio.wait({sooner, asleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sooner, asleep):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
