"""One storage account by the official asynchronous SDKs: its tables and its blobs."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.connections.trusted_transport import trusted_transport
from shared.kernel.errors import Invalid, Unavailable
from shared.persistence.storage_errors import code_of, translated_errors

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableClient, TableServiceClient
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient

BLOCK_BYTES: Final = 4 * 1024 * 1024
"""What one request sends or fetches of a blob, and so what is held in memory of it."""
CONNECT_S: Final = 5
READ_S: Final = 10
"""The SDKs' defaults (300 s, 60 s) are longer than a request of ours may take."""
_TABLE_RETRIES: Final = {
    "retry_total": 2,
    "retry_connect": 2,
    "retry_read": 2,
    # The SDK waits as long as the service says; our callers are told instead, and choose.
    "retry_status": 0,
    "retry_backoff_factor": 0.2,
}
_BLOB_RETRIES: Final = {
    "retry_total": 2,
    "initial_backoff": 0.5,
    "increment_base": 1,
    "random_jitter_range": 0.25,
}


class StorageAccount:
    """One account, connected when first used. Close it when the app ends."""

    def __init__(
        self,
        *,
        tables: str | None = None,
        blobs: str | None = None,
        credential: Callable[[], "AsyncTokenCredential"] | None = None,
        connection_string: str | None = None,
        ca_file: Path | None = None,
        read_s: float = READ_S,
    ) -> None:
        """Give the URLs of the services that are used, and *credential*.

        *credential* is asked when first used and stays its owner's to close. For an emulator give
        *connection_string* instead, such as `UseDevelopmentStorage=true`. *ca_file* has the
        certificate authority of a local cloud, trusted besides the machine's. A request from which
        nothing comes for *read_s* seconds is given up.
        """
        self._urls = {"tables": tables, "blobs": blobs}
        self._credential = credential
        self._connection_string = (connection_string or "").strip().rstrip(";")
        self._options: dict[str, Any] = {"connection_timeout": CONNECT_S, "read_timeout": read_s}
        self._ca_file = ca_file
        self._opened = AsyncExitStack()
        self._tables: TableServiceClient | None = None
        self._blobs: BlobServiceClient | None = None
        self._connecting = asyncio.Lock()

    async def create_table(self, name: str) -> None:
        """Make the table if need be; in Azure the infrastructure does. Raises Unavailable."""
        async with translated_errors(f"table {name}"):
            await (await self._table_service()).create_table_if_not_exists(name)

    async def create_container(self, name: str) -> None:
        """Make the container if need be; in Azure the infrastructure does. Raises Unavailable."""
        from azure.core.exceptions import ResourceExistsError  # noqa: PLC0415  heavy: where used

        async with translated_errors(f"container {name}"):
            try:
                await (await self.container(name)).create_container()
            except ResourceExistsError as failed:
                if code_of(failed) != "ContainerAlreadyExists":  # it is being deleted
                    raise

    async def table(self, name: str) -> "TableClient":
        return (await self._table_service()).get_table_client(name)

    async def container(self, name: str) -> "ContainerClient":
        return (await self._blob_service()).get_container_client(name)

    async def _table_service(self) -> "TableServiceClient":
        from azure.data.tables.aio import TableServiceClient  # noqa: PLC0415  heavy: where used

        async with self._connecting:
            if self._tables is None:
                self._tables = await self._connect(TableServiceClient, "tables", **_TABLE_RETRIES)
            return self._tables

    async def _blob_service(self) -> "BlobServiceClient":
        from azure.storage.blob.aio import BlobServiceClient  # noqa: PLC0415  heavy: where used

        async with self._connecting:
            if self._blobs is None:
                self._blobs = await self._connect(
                    BlobServiceClient,
                    "blobs",
                    max_single_put_size=BLOCK_BYTES,
                    max_single_get_size=BLOCK_BYTES,
                    max_chunk_get_size=BLOCK_BYTES,
                    **_BLOB_RETRIES,
                )
            return self._blobs

    async def _connect(self, kind: Any, service: str, **options: Any) -> Any:
        options |= self._options
        url = self._urls[service]
        if not self._connection_string and (url is None or self._credential is None):
            raise Invalid(f"the {service} of the storage account have no URL or no credential")
        transport = trusted_transport(self._ca_file, **self._options)
        self._opened.push_async_callback(transport.close)
        options["transport"] = transport
        if self._connection_string:
            try:
                client = kind.from_connection_string(self._connection_string, **options)
            except ValueError:  # which may quote it
                message = f"no connection string of a storage account with {service}"
                raise Unavailable(message) from None
        else:
            assert self._credential is not None
            client = kind(url, credential=self._credential(), **options)
        return await self._opened.enter_async_context(client)

    async def close(self) -> None:
        """Close the connections; the account may not be used afterwards."""
        self._tables = self._blobs = None
        await self._opened.aclose()
