"""The Blob port: large immutable bytes by name (artifacts, logs, long lists)."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class StoredBlob:
    """One blob; `stored_at` is when its content was last put."""

    name: str
    size_bytes: int
    stored_at: datetime


class Blobs(Protocol):
    """One container of blobs. Names are `/`-separated, without `..` or a leading `/`."""

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        """Store *content* under *name* whole or not at all; return its size in bytes."""
        ...

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """Return the chunks of *name*. Raises NotFound."""
        ...

    async def size(self, name: str) -> int | None:
        """Return the size in bytes, None when absent."""
        ...

    async def list_stored(self, prefix: str) -> Sequence[StoredBlob]:
        """Return every blob whose name begins with *prefix*, or raise: never a part of them.

        Raises:
            Unavailable: they cannot be read.
        """
        ...

    def pages(self, prefix: str) -> AsyncIterator[Sequence[StoredBlob]]:
        """Yield what `list_stored` returns, page by page: of many, one page is in memory at a time.

        Blobs may be deleted meanwhile.

        Raises:
            Unavailable: a page cannot be read.
        """
        ...

    async def delete(self, name: str) -> None:
        """Delete the blob *name*; an absent one is success. Raises Unavailable."""
        ...
