"""A storage account of an emulator, and the official SDKs connected to it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.kernel.entropy import SystemEntropy
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.storage_account import StorageAccount

ACCOUNT: Final = "tests"
KEY: Final = base64.b64encode(b"local key of the tests").decode()


@dataclass(frozen=True)
class Emulator:
    """A running emulator of Azure Storage; its ports are on loopback."""

    blob_port: int
    table_port: int
    scheme: str = "http"

    def connection_string(
        self, *, table_port: int | None = None, blob_port: int | None = None
    ) -> str:
        """Return what the SDKs connect with; other ports are those of a proxy before it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self._url(blob_port or self.blob_port)};"
            f"TableEndpoint={self._url(table_port or self.table_port)};"
        )

    @property
    def tables(self) -> str:
        return self._url(self.table_port)

    @property
    def blobs(self) -> str:
        return self._url(self.blob_port)

    def _url(self, port: int) -> str:
        return f"{self.scheme}://127.0.0.1:{port}/{ACCOUNT}"


@dataclass(frozen=True)
class Connected:
    """An account with a table and a container of one name that nobody else has."""

    name: str
    account: StorageAccount
    table: AzureTable
    blobs: AzureBlobs


@asynccontextmanager
async def connected(account: StorageAccount) -> AsyncIterator[Connected]:
    """Make a table and a container in *account*, which is closed afterwards."""
    name = f"t{SystemEntropy().uuid().hex}"
    try:
        await account.create_table(name)
        await account.create_container(name)
        yield opened(account, name)
    finally:
        await account.close()


def opened(account: StorageAccount, name: str) -> Connected:
    blobs = AzureBlobs(account, name, SystemEntropy())
    return Connected(name, account, AzureTable(account, name), blobs)
