"""The task hub as activity and entity dispatchers see it: database, settings, clock, apps."""

import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from local_host.durable.functions import DurableFunctions
from local_host.durable.records import Message
from local_host.durable.settings import DurableSettings
from shared.kernel.clock import Clock

T = TypeVar("T")


class Records(Protocol):
    """The transactions of `local_cloud.sqlite.database.Database`; a test may crash around them."""

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* sees of one committed state."""
        ...

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Commit *work* whole or not at all; return its result."""
        ...


class TaskHub(Protocol):
    """One task hub, as its engine offers it to the dispatchers."""

    database: Records
    settings: DurableSettings
    clock: Clock
    workers: tuple[DurableFunctions, ...]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as a task that ends with the engine."""
        ...

    def deliver(self, message: Message) -> None:
        """Hand *message* to the instance that it is for."""
        ...
