"""How many answers of pods are awaited at once, so that connections are left for everything else.

A pod answers as slowly as its workload likes, and each answer through the API server holds one of
the connections to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

ALL_AT_ONCE: Final = 20
NAMESPACE_AT_ONCE: Final = 4
"""Of one tenant in one environment: the answers of others wait for few of it."""
PLACE_WITHIN_S: Final = 30.0


class PodPlaces:
    """The places for answers of pods of one cluster; who waits gets one in the order of asking."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(ALL_AT_ONCE)
        self._of_namespaces: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, namespace: str) -> AsyncIterator[None]:
        """Hold a place for a pod in *namespace*.

        Raises:
            TimeoutError: none was free within `PLACE_WITHIN_S`.
        """
        of_namespace = self._of_namespaces.setdefault(
            namespace, asyncio.Semaphore(NAMESPACE_AT_ONCE)
        )
        async with AsyncExitStack() as held:
            async with asyncio.timeout(PLACE_WITHIN_S):
                await held.enter_async_context(of_namespace)
                await held.enter_async_context(self._all)
            yield
