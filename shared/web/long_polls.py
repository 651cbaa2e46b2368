"""Long polls of many callers for the same content: they wait together.

However many wait for a key, one task reads it. A change in this process is seen at once, one in
another when the content is read next.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.concurrency import isolate
from shared.kernel.dataclass import dataclass

READ_EVERY_S: Final = 1.0
"""A change in another process reaches those who wait here after that, plus one read."""
_FRESH_S: Final = 10 * READ_EVERY_S
"""What was read longer ago is not known to be so any more: the reads fail, or take long."""


Key = tuple[str, ...]
"""What is waited for; its first part is the tenant."""


@dataclass(frozen=True)
class Content:
    """An answer, made once for all who wait."""

    hash: str
    body: bytes


@dataclass
class _Poll:
    content: Content | None = None
    read_at_s: float = 0.0
    began_at_s: float = 0.0
    """When the read of `content` began: one that began before it says nothing newer."""
    count: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_due: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


@dataclass(frozen=True)
class Followers:
    """The callers that wait in this process."""

    clock: Clock
    _waiting: dict[Key, _Poll] = field(default_factory=dict)

    def newest(self, key: Key) -> Content | None:
        """Return what was read just now for those who wait for *key*; None when nobody does.

        It may be older than what another process has said meanwhile: it answers who has it
        already, or has nothing.
        """
        waiting = self._waiting.get(key)
        if waiting is None or self.clock.monotonic_s() - waiting.read_at_s > _FRESH_S:
            return None
        return waiting.content

    async def read(self, key: Key, read: Callable[[], Awaitable[Content]]) -> Content:
        """Return what *read* gives, which those who wait for *key* are given too.

        So nobody who has read it is given an older content by those who wait.
        """
        began_at_s = self.clock.monotonic_s()
        content = await read()
        if (waiting := self._waiting.get(key)) is not None:
            self._take(waiting, content, began_at_s)
        return content

    async def wait(
        self, key: Key, known: str, read: Callable[[], Awaitable[Content]], wait_s: float
    ) -> Content | None:
        """Return what *read* gives once it has another hash than *known*; None after *wait_s*."""
        waiting = self._waiting.setdefault(key, _Poll())
        until_s = self.clock.monotonic_s() + wait_s
        waiting.count += 1
        try:
            if waiting.task is None:
                waiting.task = asyncio.get_running_loop().create_task(self._read(waiting, read))
            while (left_s := until_s - self.clock.monotonic_s()) > 0:
                content = waiting.content
                if content is not None and content.hash != known:
                    return content
                await _until_set(waiting.changed, left_s)
            return None
        finally:
            waiting.count -= 1
            if not waiting.count and self._waiting.get(key) is waiting:
                del self._waiting[key]
                waiting.is_due.set()

    def read_now(self, tenant: str) -> None:
        """Read now what is waited for in *tenant*: something of it was changed."""
        for key, waiting in self._waiting.items():
            if key[0] == tenant:
                waiting.is_due.set()

    async def _read(self, waiting: _Poll, read: Callable[[], Awaitable[Content]]) -> None:
        while waiting.count:
            waiting.is_due.clear()
            began_at_s = self.clock.monotonic_s()
            content = await isolate(read(), f"reading what {waiting.count} callers wait for")
            if isinstance(content, Content):
                self._take(waiting, content, began_at_s)
            await _until_set(waiting.is_due, READ_EVERY_S)

    def _take(self, waiting: _Poll, content: Content, began_at_s: float) -> None:
        if began_at_s < waiting.began_at_s:
            return
        waiting.began_at_s, waiting.read_at_s = began_at_s, self.clock.monotonic_s()
        if content != waiting.content:
            waiting.content = content
            waiting.changed.set()
            waiting.changed = asyncio.Event()


async def _until_set(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
