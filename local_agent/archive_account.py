"""The archives of the platform in a storage account, which this agent reads by the official SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.plain_files import read_plain
from shared.persistence.storage_account import StorageAccount

CONTAINER: Final = "artifacts"
_SETTING: Final = "Storage"


class ArchiveAccount:
    """Reads the archives of the account that *settings*, a JSON file, names at that time.

    A local cloud writes the file at each start, and may then listen on another port.
    """

    def __init__(self, settings: Path, entropy: Entropy) -> None:
        self._settings = settings
        self._entropy = entropy

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """Return the content of the archive *name*, in chunks.

        Raises:
            NotFound.
            Unavailable: the account is away, or the file does not name one.
        """
        account = StorageAccount(connection_string=await asyncio.to_thread(self._connection))
        try:
            chunks = await AzureBlobs(account, CONTAINER, self._entropy).open(name)
        except BaseException:
            await account.close()
            raise
        return _closing(chunks, account)

    def _connection(self) -> str:
        try:
            return str(json.loads(read_plain(self._settings))[_SETTING])
        except (OSError, ValueError, KeyError, TypeError) as absent:
            raise Unavailable(
                f"{self._settings} does not name the storage account of the archives:"
                " `runtimectl cloud up` writes it"
            ) from absent


async def _closing(chunks: AsyncIterator[bytes], account: StorageAccount) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await account.close()
