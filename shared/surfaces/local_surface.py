"""The one LocalProcess surface of an embedding host, shared by the services that run in it."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from shared.embedding import Embedding
from shared.kernel.clock import Clock
from shared.surfaces.local_process.supervisor import SupervisorRunning
from shared.surfaces.local_process.surface import LocalProcessSurface

ARTIFACTS: Final = "artifacts"
FOLDER: Final = "surface"
_AGAIN_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)
_opened: dict[Path, LocalProcessSurface] = {}
_keeping: dict[Path, "asyncio.Task[None]"] = {}


def local_surface(parts: Embedding) -> LocalProcessSurface:
    """Return the surface below the host's state folder; the same object for the same folder.

    Two objects over one folder would both supervise its processes. On a running loop, which is
    where a host imports its apps, the surface is supervised until that loop ends.
    """
    folder = parts.folder / FOLDER
    if folder not in _opened:
        blobs = parts.storage.blobs(ARTIFACTS)
        _opened[folder] = LocalProcessSurface(folder, blobs, parts.clock, parts.entropy)
    _keep(folder, parts.clock)
    return _opened[folder]


def _keep(folder: Path, clock: Clock) -> None:
    """Supervise the surface in *folder*, unless a task of this loop does or there is no loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    present = _keeping.get(folder)
    if present is None or present.done() or present.get_loop() is not loop:
        _keeping[folder] = loop.create_task(supervise(_opened[folder], clock))


async def supervise(surface: LocalProcessSurface, clock: Clock) -> None:
    """Supervise *surface* for good: a defect is logged and it begins again, or nothing would heal.

    Ends when another process supervises the same folder.
    """
    while True:
        try:
            await surface.supervise()
        except SupervisorRunning as running:
            _LOG.warning("%s; this host reads and asks only", running)
            return
        except Exception:  # noqa: BLE001  whatever it was, workloads must not stay unattended
            _LOG.exception("supervision broke off; it begins again in %s s", _AGAIN_S)
            await clock.sleep(_AGAIN_S)
