"""One timeout for many keys, served by one timer: keys expire in the order in which they entered.

A timer of the event loop for each request would cost more than finding its route.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class Timeouts(Generic[K]):
    """Calls *expire* with each key that stays longer than *after_s* seconds of the loop's time."""

    def __init__(self, after_s: float, expire: Callable[[K], object]) -> None:
        self._after_s = after_s
        self._expire = expire
        self._due: dict[K, float] = {}  # in order of entry, which is the order of expiry
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, key: K, loop: asyncio.AbstractEventLoop) -> None:
        """Start the time of *key*, anew if it is inside."""
        self._due.pop(key, None)
        due = loop.time() + self._after_s
        self._due[key] = due
        if self._timer is None:
            self._timer = loop.call_at(due, self._check, loop)

    def leave(self, key: K) -> bool:
        """Return whether *key* was still inside, that is, not expired."""
        return self._due.pop(key, None) is not None

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for key, due in list(self._due.items()):
            if due > now:
                self._timer = loop.call_at(due, self._check, loop)
                return
            del self._due[key]
            self._expire(key)

    def close(self) -> None:
        """Forget all keys; none of them expires."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
