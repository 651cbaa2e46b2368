"""The Blob port over a folder and in memory.

In a folder a blob is a file, put there by an atomic rename. A half-written blob is a file under
`.parts`, which no name can reach; it is removed when its writer fails. After a crash `FolderBlobs`
removes it when it opens the folder.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.errors import NotFound
from shared.persistence.blob_rules import checked_name
from shared.persistence.blobs import StoredBlob
from shared.persistence.disk_errors import translated_errors
from shared.persistence.durable_files import sync_folder

CHUNK_BYTES: Final = 256 * 1024
_PARTS: Final = ".parts"
_PAGE_SIZE: Final = 5000
"""As large as a page of the service is."""


class FolderBlobs:
    """One container, below *folder*, which one process at a time writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = folder / _PARTS
        with translated_errors(f"blobs of {folder.name}"):
            self._parts.mkdir(parents=True, exist_ok=True)
            for left_over in self._parts.iterdir():
                left_over.unlink(missing_ok=True)

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """Store *content* whole or not at all; an earlier blob of this name is replaced.

        Raises:
            Unavailable: the disk is full, read-only or gone.
        """
        target, disk = self.path(name), partial(translated_errors, f"blob {name}")
        with disk():
            descriptor, path = tempfile.mkstemp(dir=self._parts)
        part, size = Path(path), 0
        try:
            # Without a buffer, which closing would try to write once more to a full disk.
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                async for chunk in content:
                    size += len(chunk)
                    with disk():
                        _write_whole(file, chunk)
                with disk():
                    await asyncio.to_thread(os.fsync, descriptor)
            with disk():
                await asyncio.to_thread(_move, part, target)
        finally:
            with disk():
                part.unlink(missing_ok=True)  # noqa: ASYNC240  a local disk, one system call
        return size

    async def adopt(self, name: str, content: Path) -> None:
        """Make the file *content*, durable and of the same disk, the blob *name*.

        Raises:
            Unavailable: the disk is full, read-only or gone.
        """
        target = self.path(name)
        with translated_errors(f"blob {name}"):
            await asyncio.to_thread(_move, content, target)

    async def open(self, name: str) -> AsyncIterator[bytes]:
        path = self.path(name)
        if not path.is_file():
            raise NotFound(f"no blob has the name {name!r}")
        return _chunks(path)

    async def size(self, name: str) -> int | None:
        path = self.path(name)
        return path.stat().st_size if path.is_file() else None

    async def list_stored(self, prefix: str) -> Sequence[StoredBlob]:
        return [blob async for page in self.pages(prefix) for blob in page]

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[StoredBlob]]:
        stored = _stored(self.folder, prefix)
        while True:
            with translated_errors(f"blobs of {self.folder.name}"):
                page = await asyncio.to_thread(lambda: [*islice(stored, _PAGE_SIZE)])
            if not page:
                return
            yield page

    async def delete(self, name: str) -> None:
        path = self.path(name)
        with translated_errors(f"blob {name}"):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def path(self, name: str) -> Path:
        """Return where the blob *name* is, or would be. Raises Invalid."""
        return self.folder.joinpath(*checked_name(name).split("/"))


def _stored(folder: Path, prefix: str) -> Iterator[StoredBlob]:
    def fail(problem: OSError) -> None:
        raise problem

    for above, inner, names in os.walk(folder, onerror=fail):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            path = Path(above, name)
            blob = path.relative_to(folder).as_posix()
            if blob.startswith(prefix):
                with suppress(FileNotFoundError):  # it was deleted just now
                    status = path.stat()
                    stored_at = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield StoredBlob(blob, status.st_size, stored_at)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def _write_whole(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _move(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    sync_folder(target.parent)


class MemoryBlobs:
    """One container in memory, for tests and the simulator."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._contents: dict[str, bytes] = {}
        self._stored: dict[str, StoredBlob] = {}

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        checked_name(name)
        whole = b"".join([chunk async for chunk in content])
        self._contents[name] = whole
        self._stored[name] = StoredBlob(name, len(whole), self._clock.now())
        return len(whole)

    async def open(self, name: str) -> AsyncIterator[bytes]:
        content = self._contents.get(checked_name(name))
        if content is None:
            raise NotFound(f"no blob has the name {name!r}")
        return _once(content)

    async def size(self, name: str) -> int | None:
        content = self._contents.get(checked_name(name))
        return None if content is None else len(content)

    async def list_stored(self, prefix: str) -> Sequence[StoredBlob]:
        return [blob async for page in self.pages(prefix) for blob in page]

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[StoredBlob]]:
        stored = [blob for name, blob in self._stored.items() if name.startswith(prefix)]
        for first in range(0, len(stored), _PAGE_SIZE):
            yield stored[first : first + _PAGE_SIZE]

    async def delete(self, name: str) -> None:
        self._contents.pop(checked_name(name), None)
        self._stored.pop(name, None)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
