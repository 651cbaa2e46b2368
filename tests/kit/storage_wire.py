"""The local cloud's storage account on ports, for the official SDKs."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local_cloud.storage import LocalStorage
from local_cloud.storage_endpoint.authorization import Authorization
from local_cloud.storage_endpoint.blobs import BlobService
from local_cloud.storage_endpoint.requests import PIECE_WITHIN_S
from local_cloud.storage_endpoint.server import StorageEndpoint
from local_cloud.storage_endpoint.shared_key import SharedKey
from local_cloud.storage_endpoint.tables import TableService
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from tests.kit.storage_accounts import ACCOUNT, KEY, Emulator


@asynccontextmanager
async def wired_storage(
    folder: Path,
    *,
    authorization: Authorization | None = None,
    tls: ssl.SSLContext | None = None,
    piece_within_s: float = PIECE_WITHIN_S,
) -> AsyncIterator[Emulator]:
    """Serve the tables and blobs in *folder*, as the account that Azurite serves in tests."""
    clock, entropy, key = SystemClock(), SystemEntropy(), SharedKey(ACCOUNT, KEY)
    storage = LocalStorage(folder, clock, in_memory=False)
    blobs, tables = (
        StorageEndpoint(
            service,
            key,
            0,
            authorization=authorization,
            tls=tls,
            piece_within_s=piece_within_s,
        )
        for service in (BlobService(storage, clock), TableService(storage, entropy))
    )
    await blobs.start()
    await tables.start()
    scheme, ports = (
        urlsplit(blobs.url).scheme,
        [urlsplit(each.url).port for each in (blobs, tables)],
    )
    assert ports[0]
    assert ports[1]
    try:
        yield Emulator(ports[0], ports[1], scheme)
    finally:
        await tables.stop()
        await blobs.stop()
        storage.close()


@pytest.fixture(params=[pytest.param("azurite", marks=pytest.mark.long), "local-cloud"])
async def emulator(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Emulator]:
    """Microsoft's emulator, and the local cloud: the same calls, the same results."""
    if request.param == "azurite":
        yield request.getfixturevalue("azurite")
        return
    async with wired_storage(tmp_path / "account") as served:
        yield served
