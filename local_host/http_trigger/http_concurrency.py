"""Limits the HTTP calls that an app takes at once: `extensions.http` of `host.json`.

`maxOutstandingRequests` bounds those that run and wait together, what is over it is answered 429;
`maxConcurrentRequests` bounds those that run, the rest waits. -1 is no bound.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#hostjson-settings
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from local_host.apps.configuration import Configuration

_UNBOUNDED: Final = -1


class ConcurrencyLimit:
    """Counts the calls of one app."""

    def __init__(self, outstanding_max: int, concurrent_max: int) -> None:
        self._outstanding_max = outstanding_max
        self._outstanding = 0
        bounded = concurrent_max != _UNBOUNDED
        self._running = asyncio.Semaphore(concurrent_max) if bounded else None

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[bool]:
        """Wait for a slot and yield True; yield False at once when too many wait already."""
        if self._outstanding_max != _UNBOUNDED and self._outstanding >= self._outstanding_max:
            yield False
            return
        self._outstanding += 1
        try:
            if self._running is None:
                yield True
            else:
                async with self._running:
                    yield True
        finally:
            self._outstanding -= 1


def concurrency_limit_of(settings: Configuration) -> ConcurrencyLimit | None:
    """Return the limit of an app, None when nothing is bounded. Raises ConfigurationRefused."""
    outstanding = settings.number(
        "extensions", "http", "maxOutstandingRequests", default=_UNBOUNDED
    )
    concurrent = settings.number("extensions", "http", "maxConcurrentRequests", default=_UNBOUNDED)
    if outstanding == _UNBOUNDED and concurrent == _UNBOUNDED:
        return None
    return ConcurrencyLimit(outstanding, concurrent)
