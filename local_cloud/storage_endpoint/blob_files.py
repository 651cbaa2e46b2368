"""One container of blobs as the wire needs it: versions, ranges, staged blocks, pages of names.

Content is in `FolderBlobs`. Blocks that are staged wait below `.blocks`, which no blob's name
reaches, each a durable file: they outlive a kill, and are forgotten a week later as in Azure.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakValueDictionary

from local_cloud.blobs import CHUNK_BYTES, FolderBlobs
from local_cloud.storage_endpoint.errors import StorageRefused, not_implemented
from shared.kernel.clock import Clock
from shared.persistence.disk_errors import translated_errors

BLOCKS_KEPT: Final = timedelta(days=7)
_BLOCKS: Final = ".blocks"
_PUTS: Final = "puts"
"""Below `.blocks`: what arrives of a blob that is put by one request."""
_LAST: Final = "last"
"""The blocks of the last commit, in order: a client whose answer was lost commits them again."""


@dataclass(frozen=True)
class BlobVersion:
    """What a blob is until its next put."""

    size_bytes: int
    etag: str
    stored_at: datetime


@dataclass(frozen=True)
class NamedVersion:
    name: str
    version: BlobVersion


Check = Callable[[BlobVersion | None], None]
"""Raises when what is there is not what the caller expects."""


class BlobFiles:
    """One container, which one process at a time writes."""

    def __init__(self, blobs: FolderBlobs, clock: Clock) -> None:
        self._blobs = blobs
        self._blocks = FolderBlobs(blobs.folder / _BLOCKS)
        self._puts = count()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._forget(clock.now() - BLOCKS_KEPT)

    def _forget(self, before: datetime) -> None:
        """Remove the blocks of blobs for which none was staged since *before*."""
        with translated_errors(f"blocks of {self._blobs.folder.name}"):
            for staged in self._blocks.folder.iterdir():
                if not staged.name.startswith(".") and _changed_at(staged.stat()) < before:
                    shutil.rmtree(staged)

    def version(self, name: str) -> BlobVersion | None:
        """Return what the blob *name* is now, None when there is none. Raises Invalid."""
        with suppress(FileNotFoundError, NotADirectoryError):
            path = self._blobs.path(name)
            return _version(path.stat()) if path.is_file() else None
        return None

    async def put(
        self, name: str, content: AsyncIterator[bytes], check: Check
    ) -> BlobVersion | None:
        """Store *content* whole or not at all, and drop the blocks that wait for *name*."""
        self._checked(name)
        # Beside the blob first: nobody waits while a client sends.
        part = f"{_PUTS}/{next(self._puts)}"
        await self._blocks.put(part, content)
        try:
            async with self._locked(name):
                check(self.version(name))
                await self._blobs.adopt(name, self._blocks.path(part))
                await self._drop_blocks(name)
                return self.version(name)
        except BaseException:  # what was refused leaves no bytes
            await self._blocks.delete(part)
            raise

    async def stage(self, name: str, block: str, content: AsyncIterator[bytes]) -> None:
        """Keep *content* as the block with the hexadecimal id *block*, until it is committed."""
        self._checked(name)
        await self._blocks.put(f"{_key(name)}/{block}", content)

    async def commit(self, name: str, blocks: Sequence[str], check: Check) -> BlobVersion | None:
        """Make a blob of its staged *blocks*; the list of the last commit changes nothing.

        Raises:
            StorageRefused: a block of the list is not there.
        """
        async with self._locked(name):
            check(self.version(name))
            last, listed = f"{_key(name)}/{_LAST}", "\n".join(blocks).encode()
            staged = [f"{_key(name)}/{block}" for block in blocks]
            if not await self._are_there(staged):
                if await self._content(last) == listed and blocks:
                    return self.version(name)
                raise StorageRefused(
                    400, "InvalidBlockList", "The specified block list is invalid."
                )
            # First: once the blob is there its blocks are not, and a repetition finds the list.
            await self._blocks.put(last, _once(listed))
            await self._blobs.put(name, self._joined(staged))
            await self._drop_blocks(name, but=_LAST)
            return self.version(name)

    async def delete(self, name: str, check: Check) -> None:
        async with self._locked(name):
            check(self.version(name))
            await self._drop_blocks(name)
            await self._blobs.delete(name)
            # A folder in which nothing is left would keep its name from being a blob's.
            with suppress(OSError):
                for folder in self._above(name):
                    folder.rmdir()

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[tuple[BlobVersion, BinaryIO] | None]:
        """Give the blob as it is now, whatever is put meanwhile; None when there is none."""
        path = self._blobs.path(name)
        try:
            file = path.open("rb") if path.is_file() else None
        except FileNotFoundError:
            file = None
        if file is None:
            yield None
            return
        with file:
            yield _version(os.fstat(file.fileno())), file

    async def page(
        self, prefix: str, after: str, limit: int
    ) -> tuple[Sequence[NamedVersion], bool]:
        """Return the first *limit* blobs by name behind *after*, and whether there are more."""
        stored = await self._blobs.list_stored(prefix)
        names = sorted(blob.name for blob in stored if blob.name > after)
        versions = await asyncio.to_thread(lambda: [*map(self.version, names[:limit])])
        shown = [
            NamedVersion(name, version)
            for name, version in zip(names, versions, strict=False)
            if version is not None
        ]
        return shown, len(names) > limit

    def _checked(self, name: str) -> None:
        """Refuse *name* where it is the folder of another blob, or below another blob."""
        if self._blobs.path(name).is_dir() or any(map(Path.is_file, self._above(name))):
            raise not_implemented("a blob whose name is the folder of another's")

    def _above(self, name: str) -> Sequence[Path]:
        """Return the folders of *name* inside the container, the nearest first."""
        return self._blobs.path(name).parents[: name.count("/")]

    async def _are_there(self, staged: Sequence[str]) -> bool:
        return all([await self._blocks.size(block) is not None for block in staged])

    async def _content(self, block: str) -> bytes | None:
        if await self._blocks.size(block) is None:
            return None
        return b"".join([piece async for piece in await self._blocks.open(block)])

    async def _joined(self, staged: Sequence[str]) -> AsyncIterator[bytes]:
        for block in staged:
            async for piece in await self._blocks.open(block):
                yield piece

    async def _drop_blocks(self, name: str, but: str | None = None) -> None:
        folder = self._blocks.folder / _key(name)

        def drop() -> None:
            with suppress(FileNotFoundError):
                # The list first: without it no repetition of a commit is answered.
                for path in sorted(folder.iterdir(), key=lambda path: path.name != _LAST):
                    if path.name != but:
                        path.unlink(missing_ok=True)

        with translated_errors(f"blocks of {name}"):
            await asyncio.to_thread(drop)

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield


def pieces_of(file: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    """Give *length* bytes of *file* from *start* on."""

    async def read() -> AsyncIterator[bytes]:
        left = length
        file.seek(start)
        while left and (piece := await asyncio.to_thread(file.read, min(left, CHUNK_BYTES))):
            left -= len(piece)
            yield piece

    return read()


def _key(name: str) -> str:
    """Return the folder of the blocks of *name*, which itself may be too long for one."""
    return hashlib.sha256(name.encode()).hexdigest()


def _version(stat: os.stat_result) -> BlobVersion:
    # A put makes a new file: another inode beside the earlier one, and a later instant.
    etag = f'"0x{stat.st_ino:X}{stat.st_mtime_ns:X}"'
    return BlobVersion(stat.st_size, etag, _changed_at(stat))


def _changed_at(stat: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stat.st_mtime, UTC)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
