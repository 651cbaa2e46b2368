"""File writes that are on the disk when they return."""

import os
from pathlib import Path


def write_synced(path: Path, content: bytes) -> None:
    """Write *path*; until it returns the file may be there in part."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable: a file that was made or renamed may else be lost."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
