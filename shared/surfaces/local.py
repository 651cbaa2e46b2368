"""The one LocalProcess surface of an embedding host, shared by the services that run in it."""

from pathlib import Path
from typing import Final

from shared.embedding import Embedding
from shared.surfaces.local_process.surface import LocalProcessSurface

ARTIFACTS: Final = "artifacts"
FOLDER: Final = "surface"
_opened: dict[Path, LocalProcessSurface] = {}


def local_surface(parts: Embedding) -> LocalProcessSurface:
    """Return the surface below the host's state folder; the same object for the same folder.

    Two objects over one folder would both supervise its processes.
    """
    folder = parts.folder / FOLDER
    if folder not in _opened:
        blobs = parts.storage.blobs(ARTIFACTS)
        _opened[folder] = LocalProcessSurface(folder, blobs, parts.clock, parts.entropy)
    return _opened[folder]
