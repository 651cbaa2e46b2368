"""A host of its own process, to be killed: supervises the surface below the folder it is given."""

import asyncio
import sys
from pathlib import Path

from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.local_process.surface import LocalProcessSurface
from tests.surfaces.local_stage import FolderBlobs

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    blobs = FolderBlobs(folder / "blobs")
    surface = LocalProcessSurface(folder / "surface", blobs, SystemClock(), SystemEntropy())
    asyncio.run(surface.supervise())
