"""What a process writes with, in a form that can die: at any write, before it or after it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from local_cloud.sqlite.database import Database
from local_host.embedded_parts import EmbeddedHost
from shared.composition.embedded import installed_host
from shared.kernel.ids import EnvironmentId
from shared.messaging.broker import OutgoingMessage
from shared.persistence.store import BatchOperation, Etag, Partition, Store
from tests.kit.memory_surface import MemorySurface
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone at this point; no `except Exception` keeps it alive."""


@dataclass
class Fate:
    """Counts the points at which a process can die, and ends it at one of them."""

    kill_at: int | None = None
    count: int = 0
    points: list[str] = field(default_factory=list)
    is_dead: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, point: str) -> None:
        """Pass *point*, or die there. The dead do nothing more."""
        if not self._survives(point):
            raise Killed(point)

    async def pass_by(self, point: str) -> None:
        """Pass *point*, or never come back from it, as a killed process does not."""
        if not self._survives(point):
            await asyncio.Event().wait()

    def _survives(self, point: str) -> bool:
        if self.is_dead:
            return False
        self.count += 1
        self.points.append(point)
        if self.count == self.kill_at:
            self.is_dead = True
            self.died.set()
        return not self.is_dead


@dataclass
class MortalStore:
    """A store whose every batch may be the last thing a process did, before or after."""

    inner: Store
    name: str
    fate: Fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        await self.fate.pass_by(f"before commit in {self.name}")
        etags = await self.inner.batch(partition, operations)
        await self.fate.pass_by(f"after commit in {self.name}")
        return etags


_WRITES: Final = frozenset(
    name for name, method in vars(MemorySurface).items()
    if not name.startswith("_") and "fence" in getattr(method, "__annotations__", ())
)  # fmt: skip
"""Whoever writes shows its fence."""


@dataclass
class MortalSurface:
    """A surface whose every write may be the last thing a process did, before or after.

    It lists what it has when *lists* is set, and lets those who ask wait until then.
    """

    inner: MemorySurface
    fate: Fate
    lists: asyncio.Event

    async def inventory(self, environment: EnvironmentId) -> Any:
        if not self.lists.is_set():
            await self.fate.pass_by("held inventory")
            await self.lists.wait()
        return await self.inner.inventory(environment)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in _WRITES:
            return found

        async def write(*arguments: Any) -> Any:
            await self.fate.pass_by(f"before surface {name}")
            result = await found(*arguments)
            await self.fate.pass_by(f"after surface {name}")
            return result

        return write


@dataclass
class MortalSender:
    """The broker of whichever host runs now."""

    fate: Fate

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await self.fate.pass_by(f"before send to {entity}")
        host = installed_host()
        assert isinstance(host, EmbeddedHost)
        await host.sender.send(entity, messages)
        await self.fate.pass_by(f"after send to {entity}")


@dataclass
class UnrulySender:
    """A broker that delivers everything two to three times, late, and in any order."""

    inner: MortalSender
    clock: LoopClock
    entropy: SeededEntropy
    late_s: float = 5.0
    _underway: set[asyncio.Task[None]] = field(default_factory=set)

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        for message in messages:
            for _ in range(2 + (self.entropy.fraction() < 0.5)):
                task = asyncio.ensure_future(self._send_late(entity, message))
                self._underway.add(task)
                task.add_done_callback(self._underway.discard)

    async def _send_late(self, entity: str, message: OutgoingMessage) -> None:
        await self.clock.sleep(self.entropy.fraction() * self.late_s)
        await self.inner.send(entity, [message])


class MortalDatabase(Database):
    """The host's database: broker, histories, timers; each commit may be the last."""

    fate: Fate

    async def write(
        self, work: Callable[[Any], T], *, undoes_itself: bool = False, takes_long: bool = False
    ) -> T:
        await self.fate.pass_by("before host commit")
        result = await super().write(work, undoes_itself=undoes_itself, takes_long=takes_long)
        await self.fate.pass_by("after host commit")
        return result
