"""The Blob port in memory, for tests and the simulator."""

from collections.abc import AsyncIterator

from shared.kernel.errors import NotFound
from shared.persistence.folder_blobs import checked_name


class MemoryBlobs:
    """One container."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        checked_name(name)
        whole = b"".join([chunk async for chunk in content])
        self._contents[name] = whole
        return len(whole)

    async def open(self, name: str) -> AsyncIterator[bytes]:
        content = self._contents.get(checked_name(name))
        if content is None:
            raise NotFound(f"no blob has the name {name!r}")
        return _once(content)

    async def size(self, name: str) -> int | None:
        content = self._contents.get(checked_name(name))
        return None if content is None else len(content)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
