"""The adapters that the contract suites run against, each with a clock that a test may turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.sqlite.store import SqliteStore
from shared.persistence.store import Store
from tests.kit.azurite import azurite
from tests.kit.cosmos import wired
from tests.kit.storage_wire import emulator
from tests.kit.stores import HandClock, Opened

__all__ = ["azurite", "emulator"]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(
    params=[
        pytest.param("file", id="sqlite-file"),
        pytest.param("memory", id="sqlite-memory"),
        pytest.param("wire", id="cosmos-wire", marks=pytest.mark.real),
    ]
)
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock
) -> AsyncIterator[Opened]:
    if request.param == "wire":
        async with wired(clock) as wire:
            yield Opened(wire.store(), clock)
        return
    path = MEMORY if request.param == "memory" else tmp_path / "runtime" / "c.db"
    database = Database(path)
    try:
        yield Opened(SqliteStore(database, "deployments", clock), clock)
    finally:
        database.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened.store
