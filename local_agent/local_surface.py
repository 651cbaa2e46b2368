"""The LocalProcess surface of an embedded host, shared by its services."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from local_agent.supervisor import SupervisorRunning
from local_agent.surface import LocalProcessSurface
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.persistence.blobs import Blobs

_RESTART_AFTER_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)
_surfaces: dict[Path, LocalProcessSurface] = {}
_supervisors: dict[Path, "asyncio.Task[None]"] = {}


def local_surface(
    state: Path, blobs: Callable[[str], Blobs], clock: Clock, entropy: Entropy
) -> LocalProcessSurface:
    """Return the surface below *state*, the host's state folder: one object per folder.

    Two objects for one folder would both supervise its processes. On a running loop, where a host
    imports its apps, the surface is supervised until that loop ends.
    """
    folder = state / "surface"
    if folder not in _surfaces:
        _surfaces[folder] = LocalProcessSurface(folder, blobs("artifacts"), clock, entropy)
    _ensure_supervised(folder, clock)
    return _surfaces[folder]


def _ensure_supervised(folder: Path, clock: Clock) -> None:
    """Supervise the surface in *folder*, unless a task of this loop does or no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    task = _supervisors.get(folder)
    if task is None or task.done() or task.get_loop() is not loop:
        _supervisors[folder] = loop.create_task(supervise(_surfaces[folder], clock))


async def supervise(surface: LocalProcessSurface, clock: Clock) -> None:
    """Supervise *surface* forever: a defect is logged, and the supervision restarts.

    Ends when another process supervises the same folder.
    """
    while True:
        try:
            await surface.supervise()
        except SupervisorRunning as running:
            _LOG.warning("%s; this host does not supervise", running)
            return
        except Exception:  # noqa: BLE001  after any defect, workloads still need a supervisor
            _LOG.exception("supervision failed; it restarts in %s s", _RESTART_AFTER_S)
            await clock.sleep(_RESTART_AFTER_S)
