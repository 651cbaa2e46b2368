"""Virtual time: a loop that jumps to the next timer when nothing is ready, and its clock."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Where virtual time begins."""
T = TypeVar("T")


class _NoWait(selectors.SelectSelector):
    """Asks the real selector without waiting and hands the wait to the loop as a jump in time."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.loop.threads:
            # Only a thread or a socket can wake this loop now, or a thread still may: no time
            # passes for it meanwhile, or hours would go by while it works for a millisecond.
            return super().select(1)
        self.loop.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _NoWait()
        selector.loop = self
        self._virtual_s = 0.0
        self.threads = 0
        super().__init__(selector)
        # After months of it the distance to the next number is more than asyncio's nanosecond, and
        # a timer that is due would never be.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual_s

    def jump(self, delay_s: float) -> None:
        self._virtual_s += delay_s

    def run_in_executor(  # type: ignore[override]  # typeshed has it more general
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: "asyncio.Future[Any]") -> None:
        self.threads -= 1


class OneThreadLoop(VirtualTimeLoop):
    """What others hand to threads is done at once, so that nothing is up to their order."""

    def run_in_executor(  # type: ignore[override]  # typeshed has it more general
        self, _executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as failed:  # noqa: BLE001  the caller has it, as from a thread
            future.set_exception(failed)
        return future


def run_virtual(
    main: Coroutine[object, object, T], *, loop: type[VirtualTimeLoop] = VirtualTimeLoop
) -> T:
    """Run *main* to its end on a new virtual loop; hours cost nothing, order is deterministic."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main)


class LoopClock:
    """Time as the running event loop tells it, counted from *epoch*.

    On a loop whose time is virtual every timer of asyncio and this clock move together, so
    `asyncio.timeout` and `sleep` agree.
    """

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=asyncio.get_running_loop().time())

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)  # noqa: TID251  the loop makes it virtual
