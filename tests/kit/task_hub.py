"""A task hub over memory and virtual time, and a database that crashes around a commit."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import azure.durable_functions as df
import azure.functions as func

from local_cloud.sqlite.database import MEMORY, Database
from local_host.apps.indexing import IndexedApp, index
from local_host.durable.client import DurableClient, input_text
from local_host.durable.engine import Engine
from local_host.durable.functions import DurableFunctions
from local_host.durable.history import Event
from local_host.durable.records import SCHEMA, Instance
from local_host.durable.settings import DurableSettings
from local_host.durable.task_hub import Records
from local_host.invocation.worker import Worker
from local_host.model import App
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

T = TypeVar("T")
LONG_S = 30 * 24 * 3600.0
"""On a virtual clock: everything that can happen has happened."""


class Crashed(Exception):
    """The process is gone."""


class CrashingDatabase:
    """Passes transactions on until the one numbered *at*, around which everything ends.

    With *after* it is committed and nobody learns of it; else it never was.
    """

    def __init__(self, database: Database, at: int, *, after: bool) -> None:
        self._database = database
        self._left = at
        self._after = after
        self.has_crashed = False

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._database.read(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self.has_crashed:
            raise Crashed
        self._left -= 1
        if self._left > 0:
            return await self._database.write(work)
        self.has_crashed = True
        if self._after:
            await self._database.write(work)
        raise Crashed


class TaskHub:
    """One engine and its client."""

    def __init__(
        self,
        *apps: Any,
        database: Records | None = None,
        settings: DurableSettings | None = None,
        seed: int = 1,
    ) -> None:
        self.clock = LoopClock()
        self.entropy = SeededEntropy(seed)
        self.worker = Worker(self.entropy, threads=0)
        workers = []
        for app in apps:
            found = indexed(app)
            for function in found.functions:
                self.worker.prepare(function, found.configuration, "", {}, {})
            workers.append(DurableFunctions(found.functions))
        self.engine = Engine(
            database or memory(),
            workers,
            self.worker,
            settings or DurableSettings(),
            clock=self.clock,
            entropy=self.entropy,
        )
        self.client = DurableClient(self.engine)

    async def start(self, name: str, given: Any = None, instance_id: str = "i") -> str:
        return await self.client.start(name, instance_id, input_text(given))

    async def result(self, name: str, given: Any = None, instance_id: str = "i") -> Any:
        """Start *name*, wait for its end, return its output."""
        await self.start(name, given, instance_id)
        return await self.output(instance_id)

    async def output(self, instance_id: str = "i") -> Any:
        """Wait for the end; return the output."""
        await self.engine.wait_for_completion(instance_id)
        text = self.instance(instance_id).output
        return None if text is None else json.loads(text)

    def instance(self, instance_id: str = "i") -> Instance:
        found = self.client.status(instance_id)
        assert found is not None, f"{instance_id} is not there"
        return found

    def events(self, instance_id: str = "i", *kinds: int) -> list[Event]:
        found = self.client.events(instance_id)
        return [e for e in found if e["EventType"] in kinds] if kinds else found

    async def pass_time(self, delay_s: float = LONG_S) -> None:
        await self.clock.sleep(delay_s)


@cache
def indexed(app: Any) -> IndexedApp:
    """Index *app*, which the library allows only once."""
    found = index(App(f"app{id(app)}", register=app, host_json={"version": "2.0"}), {})
    assert found.problem is None, found.problem
    assert not found.refusals, found.refusals
    return found


def memory() -> Database:
    return Database(MEMORY, SCHEMA)


@asynccontextmanager
async def task_hub(*apps: Any, **options: Any) -> AsyncIterator[TaskHub]:
    """Run a task hub while inside."""
    hub = TaskHub(*apps, **options)
    await hub.engine.start()
    try:
        yield hub
    finally:
        await hub.engine.stop(1.0)


def durable_app() -> df.DFApp:
    return df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
