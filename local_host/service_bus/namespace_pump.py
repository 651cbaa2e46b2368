"""The pump of a function whose connection names a Service Bus namespace."""

import asyncio

from local_host.service_bus import messages
from local_host.service_bus.invocations import Invocations
from local_host.service_bus.namespace_queue import NamespaceQueue
from local_host.service_bus.pump import Pump
from shared.kernel.clock import Clock


class NamespacePump(Pump):
    """Receives from a namespace, whose queues and subscriptions are declared, never made here."""

    def __init__(
        self, invocations: Invocations, queue: NamespaceQueue, clock: Clock, *, is_batch: bool
    ) -> None:
        super().__init__(invocations, clock)
        self._queue = queue
        self._is_batch = is_batch

    async def _close(self) -> None:
        await self._queue.close()

    async def _receive(self) -> None:
        await (self._receive_batch() if self._is_batch else self._receive_singly())

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
