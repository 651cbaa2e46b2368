"""The Blob port over Azure Blob storage by the official asynchronous SDK.

A blob of up to 1 MiB is put by one request. A larger one is staged block by block and is there when
the list of its blocks is committed; blocks that never are, the service forgets after a week, or
with the next commit of that name. Two puts of one name at once: the one that commits last of those
that kept their blocks holds, the other is Unavailable.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Final

from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound, TooLarge
from shared.persistence.blob_rules import checked_name
from shared.persistence.blobs import StoredBlob
from shared.persistence.storage_account import BLOCK_BYTES, StorageAccount
from shared.persistence.storage_errors import WITHIN_S, code_of, translated_errors

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, ContainerClient, StorageStreamDownloader

BLOCKS_MAX: Final = 50_000
"""https://learn.microsoft.com/azure/storage/blobs/scalability-targets: blocks of one blob."""
SINGLE_BYTES: Final = 1024 * 1024
"""The SDK holds the loop while it sends a body of bytes; a block is sent as a stream."""
_ABSENT: Final = "BlobNotFound"
_TRANSFER_S: Final = 3 * WITHIN_S
"""For 4 MiB on a slow line."""


class AzureBlobs:
    """One container, which exists."""

    def __init__(self, account: StorageAccount, container: str, entropy: Entropy) -> None:
        self._account = account
        self._name = container
        self._entropy = entropy

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """Store *content* whole or not at all; an earlier blob of this name is replaced.

        Raises:
            TooLarge: more than 50,000 blocks of 4 MiB.
            Unavailable: throttled or away, or overtaken by another put of *name*.
        """
        from azure.storage.blob import BlobBlock  # noqa: PLC0415  heavy: where used

        checked_name(name)
        put = self._entropy.uuid().hex  # so that two puts at once do not mix their blocks
        blocks: list[str] = []
        size = 0
        async for block in _blocks(content):
            size += len(block)
            if not blocks and len(block) <= SINGLE_BYTES:
                return await self._upload(name, block)
            if len(blocks) == BLOCKS_MAX:
                raise TooLarge(f"a blob has at most {BLOCKS_MAX * BLOCK_BYTES} bytes")
            blocks.append(f"{put}-{len(blocks):05d}")
            async with self._blob(name, within_s=_TRANSFER_S) as blob:
                await blob.stage_block(blocks[-1], BytesIO(block), length=len(block))
        async with self._blob(name) as blob:
            await blob.commit_block_list([BlobBlock(block) for block in blocks])
        return size

    async def _upload(self, name: str, content: bytes) -> int:
        async with self._blob(name, within_s=_TRANSFER_S) as blob:
            await blob.upload_blob(content, overwrite=True)
        return len(content)

    async def open(self, name: str) -> AsyncIterator[bytes]:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  heavy: where used

        async with self._blob(checked_name(name), within_s=_TRANSFER_S) as blob:
            try:
                downloader = await blob.download_blob(max_concurrency=1)
            except ResourceNotFoundError as absent:
                if code_of(absent) != _ABSENT:
                    raise
                raise NotFound(f"no blob has the name {name!r}") from absent
        return self._chunks(name, downloader)

    async def _chunks(
        self, name: str, downloader: "StorageStreamDownloader[bytes]"
    ) -> AsyncIterator[bytes]:
        chunks = downloader.chunks()
        while True:
            async with translated_errors(f"blob {name}", within_s=_TRANSFER_S):
                chunk = await anext(chunks, b"")
            if not chunk:
                return
            yield chunk

    async def size(self, name: str) -> int | None:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  heavy: where used

        async with self._blob(checked_name(name)) as blob:
            try:
                return int((await blob.get_blob_properties()).size)
            except ResourceNotFoundError as absent:
                if code_of(absent) != _ABSENT:
                    raise
                return None

    async def list_stored(self, prefix: str) -> Sequence[StoredBlob]:
        return [blob async for page in self.pages(prefix) for blob in page]

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[StoredBlob]]:
        async with self._container() as container:
            pages = container.list_blobs(name_starts_with=prefix).by_page()
        while True:
            async with translated_errors(f"blobs of {self._name}"):
                page = await anext(pages, None)
                if page is None:
                    return
                stored = [
                    StoredBlob(blob.name, blob.size, blob.last_modified) async for blob in page
                ]
            yield stored

    async def delete(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  heavy: where used

        async with self._blob(checked_name(name)) as blob:
            try:
                await blob.delete_blob(delete_snapshots="include")
            except ResourceNotFoundError as absent:
                if code_of(absent) != _ABSENT:
                    raise

    @asynccontextmanager
    async def _container(self) -> "AsyncIterator[ContainerClient]":
        async with translated_errors(f"blobs of {self._name}"):
            yield await self._account.container(self._name)

    @asynccontextmanager
    async def _blob(self, name: str, *, within_s: float = WITHIN_S) -> "AsyncIterator[BlobClient]":
        async with translated_errors(f"blob {name}", within_s=within_s):
            yield (await self._account.container(self._name)).get_blob_client(name)


async def _blocks(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut *content* into blocks of 4 MiB and a last one that is smaller, at least an empty one."""
    rest = bytearray()
    is_first = True
    async for chunk in content:
        for start in range(0, len(chunk), BLOCK_BYTES):
            rest += memoryview(chunk)[start : start + BLOCK_BYTES]
            if len(rest) >= BLOCK_BYTES:
                yield bytes(rest[:BLOCK_BYTES])
                del rest[:BLOCK_BYTES]
                is_first = False
    if rest or is_first:
        yield bytes(rest)
