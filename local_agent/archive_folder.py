"""The archives of this machine, as the platform's blob container keeps them in a folder."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final

from shared.kernel.errors import NotFound
from shared.persistence.plain_files import open_plain

_CHUNK_BYTES: Final = 256 * 1024


class ArchiveFolder:
    """Reads the archives below *folder*; another process writes them, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self, name: str) -> AsyncIterator[bytes]:
        """Return the content of the archive *name*, in chunks. Raises NotFound."""
        try:
            descriptor = await asyncio.to_thread(open_plain, self._folder / name)
        except FileNotFoundError as absent:
            raise NotFound(f"no archive {name}") from absent
        return _chunks(os.fdopen(descriptor, "rb"))


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
