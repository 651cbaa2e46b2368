"""The Blob port: large immutable bytes by name (artifacts, logs, long lists)."""

from collections.abc import AsyncIterator
from typing import Protocol


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
