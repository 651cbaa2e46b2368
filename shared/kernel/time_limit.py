"""A limit of time that holds for work which loses a cancellation."""

import asyncio
from types import TracebackType
from typing import Final, Self

_AGAIN_S: Final = 0.1


class TimeLimit:
    """What runs in it is canceled after some seconds, and again until it ends; then TimeoutError.

    `asyncio.timeout` cancels once, and what an SDK awaits through `asyncio.wait_for` may lose that
    before Python 3.12 (https://bugs.python.org/issue37658).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._canceled = 0

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._canceled_before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(self._seconds, self._cancel)
        return self

    def _cancel(self) -> None:
        self._canceled += 1
        self._task.cancel()
        self._next = self._loop.call_later(_AGAIN_S, self._cancel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next.cancel()
        for _ in range(self._canceled):
            self._task.uncancel()
        is_ours = self._canceled > 0 and self._task.cancelling() <= self._canceled_before
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from problem
