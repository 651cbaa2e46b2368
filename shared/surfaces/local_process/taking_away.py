"""The ends: a site's folder after its last process, and a whole state folder's processes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.journal import SiteFolder
from shared.surfaces.local_process.processes import Identity

GRACE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05


def take_away(folder: SiteFolder) -> None:
    """Delete what a site had on disk. Its fences and ports stay: a late writer must be known."""
    with folder.turn():
        for service in folder.services():
            wanted = folder.wanted(service)
            if wanted is not None:
                folder.write_wanted(replace(wanted, revisions={}, weights={}))
    for name in ("instances", "running"):
        shutil.rmtree(folder.folder / name, ignore_errors=True)
    # Last: while it exists the site is not yet gone.
    shutil.rmtree(folder.edge, ignore_errors=True)


async def stop_everything(root: Path, clock: Clock) -> int:
    """Stop all workloads and Envoys below *root*; return how many there were.

    What is wanted stays written: the next supervisor starts it again. Stop the supervisor of
    *root* first, or it does so at once. Also ends the starts that were under way.
    """
    _void_unclaimed(root)
    alive = [i for i in _claims(root) if processes.is_alive(i)]
    for identity in alive:
        processes.ask_to_stop(identity)
    deadline_s = clock.monotonic_s() + GRACE_S
    left = alive
    while left and clock.monotonic_s() < deadline_s:
        await clock.sleep(_LOOK_EVERY_S)
        for identity in left:
            processes.reap(identity.pid)
        left = [identity for identity in left if processes.is_alive(identity)]
    for identity in alive:
        # Those that did not listen, and what the others left in their sessions.
        processes.kill(identity)
        processes.reap(identity.pid)
    return len(alive)


def _claims(root: Path) -> list[Identity]:
    found = [processes.claimed(path) for path in root.glob("sites/*/**/claim-*")]
    return [identity for identity in found if identity is not None]


def _void_unclaimed(root: Path) -> None:
    for path in root.glob("sites/*/running/*.json"):
        instances = path.parent.parent / "instances" / path.stem
        try:
            known = json.loads(path.read_bytes())["instances"]
        except ValueError:
            # Damaged: what runs is still found by its claims, only a start under way is not.
            continue
        for started in known:
            place = instances / started["id"]
            if place.exists():
                processes.void(place / f"claim-{started['token']}")
    for path in root.glob("sites/*/edge/started"):
        processes.void(path.parent / f"claim-{path.read_text(encoding='ascii')}")
