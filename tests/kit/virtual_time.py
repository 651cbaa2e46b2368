"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class _NoWait(selectors.SelectSelector):
    """Asks the real selector without waiting and hands the wait to the loop as a jump in time."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.loop.jump(timeout)
        if not ready and timeout is None:
            # Nothing can ever wake this loop but a thread or a socket: wait for that in real time.
            ready = super().select(1)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _NoWait()
        selector.loop = self
        self._virtual_s = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_s

    def jump(self, delay_s: float) -> None:
        self._virtual_s += delay_s


def run_virtual(main: Coroutine[object, object, T]) -> T:
    """Run *main* to its end on a new virtual loop; hours cost nothing, order is deterministic."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
