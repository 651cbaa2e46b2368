"""The local cloud's storage account, Azurite beside it, and requests without an SDK."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.kit.azurite import azurite
from tests.kit.storage_accounts import Emulator
from tests.kit.storage_requests import Requests
from tests.kit.storage_wire import emulator, wired_storage

__all__ = ["azurite", "emulator"]


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with wired_storage(tmp_path) as served:
        yield served


@pytest.fixture
async def requests(local: Emulator) -> AsyncIterator[Requests]:
    """Signed requests to a fresh account with the container and table `known`."""
    async with ClientSession() as http:
        sent = Requests(local, http)
        assert (await sent.blob("PUT", "/known?restype=container")).status == 201
        assert (await sent.table("POST", "/Tables", b'{"TableName": "known"}')).status == 201
        yield sent
