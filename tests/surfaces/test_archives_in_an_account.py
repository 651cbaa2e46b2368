"""Where the platform keeps its archives in a storage account, the agent reads them there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from local_agent.archive_account import CONTAINER, ArchiveAccount
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import NotFound, Unavailable
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.storage_account import StorageAccount
from tests.kit.azurite import azurite
from tests.kit.storage_accounts import Emulator

__all__ = ["azurite"]
pytestmark = pytest.mark.real
CHUNKS: Final = (b"PK", b"\0" * 70_000)


async def chunks() -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


@pytest.fixture
async def settings(azurite: Emulator, tmp_path: Path) -> Path:
    account = StorageAccount(connection_string=azurite.connection_string())
    await account.create_container(CONTAINER)
    await AzureBlobs(account, CONTAINER, SystemEntropy()).put("sha256/one", chunks())
    await account.close()
    file = tmp_path / "app-settings.json"
    file.write_text(json.dumps({"Storage": azurite.connection_string()}))
    return file


async def test_an_archive_is_read_from_the_account_that_the_settings_name(settings: Path) -> None:
    archives = ArchiveAccount(settings, SystemEntropy())

    read = [chunk async for chunk in await archives.open("sha256/one")]

    assert b"".join(read) == b"".join(CHUNKS)


async def test_an_archive_that_is_not_in_the_account_is_not_found(settings: Path) -> None:
    with pytest.raises(NotFound):
        await ArchiveAccount(settings, SystemEntropy()).open("sha256/two")


@pytest.mark.parametrize("content", ["", "[]", '{"Store": "x"}'])
async def test_without_an_account_in_the_settings_archives_are_unavailable(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "app-settings.json"
    file.write_text(content)

    with pytest.raises(Unavailable, match="runtimectl cloud up"):
        await ArchiveAccount(file, SystemEntropy()).open("sha256/one")
