"""Invocations of one Service Bus function: run it, then complete or abandon its messages."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from local_cloud.broker.message import Disposition, LockLost, ReceivedMessage
from local_cloud.broker.receiver_link import ReceiverLink
from local_host.invocation.own_task import invoke_in_own_task
from local_host.model import IndexedFunction, Invocation, InvocationFailed, Invoker
from local_host.service_bus.settings import ServiceBusSettings
from shared.kernel.clock import Clock

_log = logging.getLogger(__name__)


class Settler(Protocol):
    """Where messages are settled: the broker of the host's own cloud, or a namespace."""

    async def settle_all(
        self,
        messages: Sequence[ReceivedMessage],
        disposition: Disposition,
        *,
        refill: ReceiverLink | None = None,
    ) -> Sequence[ReceivedMessage]:
        """Settle *messages*; return those whose lock was lost.

        *refill* is where as many again may be handed over, of the host's own cloud.
        """
        ...


class Invocations:
    """The invocations of one function that are running; `changed` is set when one ends."""

    def __init__(
        self,
        function: IndexedFunction,
        settings: ServiceBusSettings,
        *,
        settler: Settler,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self.function = function
        self.settings = settings
        self._settler = settler
        self.clock = clock
        self.stopping = False
        self.changed = asyncio.Event()
        self.link: ReceiverLink | None = None
        """Where a run that ends may have its place filled again."""
        self._invoker = invoker
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, messages: Sequence[ReceivedMessage], argument: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(messages, argument), name=self.function.name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        """Return when every run has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel what still runs; its messages stay locked and are delivered again."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.end()

    async def release(self, messages: Sequence[ReceivedMessage]) -> None:
        """Release messages that no run has seen."""
        await self._settle(messages, Disposition.RELEASE)

    async def _run(self, messages: Sequence[ReceivedMessage], argument: Any) -> None:
        """Run the function; complete all *messages* or abandon all."""
        first = messages[0]
        invocation = Invocation(
            self.function,
            {self.function.trigger.name: argument},
            traceparent=first.application_properties.get("Diagnostic-Id", ""),
        )
        try:
            await invoke_in_own_task(self._invoker, invocation)
        except InvocationFailed as failed:
            _log.warning(
                "%s failed on message %s, delivery %d: %s",
                self.function.name,
                first.message_id,
                first.delivery_count,
                failed.text,
                exc_info=failed.cause,
            )
            await self._settle(messages, Disposition.ABANDON)
        else:
            if self.settings.auto_complete_messages:
                await self._settle(messages, Disposition.COMPLETE)

    async def _settle(self, messages: Sequence[ReceivedMessage], disposition: Disposition) -> None:
        refill = None if self.stopping else self.link
        for lost in await self._settler.settle_all(messages, disposition, refill=refill):
            _log.warning("after %s: %s", self.function.name, LockLost(lost))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed.set()
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("settling for %s failed: %s", self.function.name, problem)
