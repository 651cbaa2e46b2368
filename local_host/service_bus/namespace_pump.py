"""The pump of a function whose connection names a Service Bus namespace."""

import asyncio
import logging
from typing import Final

from local_host.model import IndexedFunction
from local_host.service_bus import messages
from local_host.service_bus.invocations import Invocations
from local_host.service_bus.namespace_queue import NamespaceQueue
from shared.kernel.clock import Clock

_log = logging.getLogger(__name__)
_AFTER_A_FAILURE_S: Final = 1.0


class NamespacePump:
    """Receives until it is stopped, whatever happens to the namespace meanwhile."""

    def __init__(
        self, invocations: Invocations, queue: NamespaceQueue, clock: Clock, *, is_batch: bool
    ) -> None:
        self._invocations = invocations
        self._queue = queue
        self._clock = clock
        self._receive = self._receive_batch if is_batch else self._receive_singly
        self._loop: asyncio.Task[None] | None = None

    @property
    def function(self) -> IndexedFunction:
        return self._invocations.function

    async def start(self) -> None:
        """Begin to receive. Queues and subscriptions are declared, never made here."""
        self._loop = asyncio.create_task(self._keep_receiving(), name=self.function.name)

    async def stop(self, grace_s: float) -> None:
        """Take nothing new; what has not ended after *grace_s* is canceled and delivered again."""
        if self._loop is None:
            return
        self._invocations.stopping = True
        self._invocations.changed.set()
        ended = asyncio.ensure_future(self._ended(self._loop))
        grace = asyncio.ensure_future(self._clock.sleep(grace_s))
        await asyncio.wait((ended, grace), return_when=asyncio.FIRST_COMPLETED)
        for each in (grace, ended, self._loop):
            each.cancel()
        await self._invocations.cancel()
        await self._queue.close()

    async def _ended(self, loop: asyncio.Task[None]) -> None:
        await asyncio.wait([loop])
        await self._invocations.end()

    async def _keep_receiving(self) -> None:
        while not self._invocations.stopping:
            try:
                await self._receive()
            except Exception:  # noqa: BLE001  a trigger that stops listening is worse than any
                _log.exception("receiving for %s failed, goes on", self.function.name)
                await self._clock.sleep(_AFTER_A_FAILURE_S)

    async def _receive_singly(self) -> None:
        """Begin a run for each message; return when there is a place for one more."""
        invocations, settings = self._invocations, self._invocations.settings
        for message in await self._queue.receive(settings.max_concurrent_calls - len(invocations)):
            self._queue.keep_renewed(message, settings.max_auto_lock_renewal_s)
            invocations.begin([message], messages.one(message))
        while len(invocations) >= settings.max_concurrent_calls and not invocations.stopping:
            invocations.changed.clear()
            await invocations.changed.wait()

    async def _receive_batch(self) -> None:
        """Run one batch: what has come when the first message has."""
        batch = await self._queue.receive(self._invocations.settings.max_message_batch_size)
        if batch:
            await asyncio.wait([self._invocations.begin(batch, messages.many(batch))])
