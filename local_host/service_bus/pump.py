"""What moves messages into one function, wherever they come from."""

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Final

from local_host.model import IndexedFunction
from local_host.service_bus.invocations import Invocations
from shared.kernel.clock import Clock
from shared.kernel.errors import NotFound, Unavailable

_log = logging.getLogger(__name__)
_AFTER_A_FAILURE_S: Final = 1.0


class Pump(ABC):
    """Receives until it is stopped, whatever happens to the source meanwhile."""

    def __init__(self, invocations: Invocations, clock: Clock) -> None:
        self._invocations = invocations
        self._clock = clock
        self._loop: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None

    @property
    def function(self) -> IndexedFunction:
        return self._invocations.function

    @abstractmethod
    async def _receive(self) -> None:
        """Receive and begin invocations; called again until `stopping`."""

    async def _open(self) -> None:  # noqa: B027  most have nothing to do
        """Make ready what is received from."""

    def _interrupt(self) -> None:  # noqa: B027
        """End a wait for messages."""

    async def _close(self) -> None:  # noqa: B027
        """Give back what was opened."""

    async def start(self) -> None:
        """Begin to receive."""
        await self._open()
        self._loop = asyncio.create_task(self._keep_receiving(), name=self.function.name)

    async def stop(self, grace_s: float) -> None:
        """Take nothing new; what has not ended after *grace_s* is canceled and delivered again."""
        if self._loop is None:
            return
        self._invocations.stopping = True
        self._invocations.changed.set()
        if self._pause is not None:
            self._pause.cancel()
        self._interrupt()
        ended = asyncio.ensure_future(self._ended(self._loop))
        grace = asyncio.ensure_future(self._clock.sleep(grace_s))
        await asyncio.wait((ended, grace), return_when=asyncio.FIRST_COMPLETED)
        for each in (grace, ended, self._loop):
            each.cancel()
        await self._invocations.cancel()
        await self._close()

    async def _ended(self, loop: asyncio.Task[None]) -> None:
        await asyncio.wait([loop])
        await self._invocations.end()

    async def _keep_receiving(self) -> None:
        waits_for = ""
        while not self._invocations.stopping:
            try:
                await self._receive()
                waits_for = ""
            except (Unavailable, NotFound) as problem:
                if problem.message != waits_for:  # once: it may last until somebody does something
                    _log.warning("%s waits: %s", self.function.name, problem)
                waits_for = problem.message
                asked_s = problem.retry_after_s if isinstance(problem, Unavailable) else 0.0
                await self._wait(max(_AFTER_A_FAILURE_S, asked_s))
            except Exception:  # noqa: BLE001  a trigger that stops listening is worse than any
                _log.exception("receiving for %s failed, goes on", self.function.name)
                await self._wait(_AFTER_A_FAILURE_S)

    async def _wait(self, delay_s: float) -> None:
        """Return after *delay_s*, or when the pump is stopped."""
        self._pause = asyncio.ensure_future(self._clock.sleep(delay_s))
        try:
            await asyncio.wait([self._pause])
        finally:
            self._pause.cancel()
