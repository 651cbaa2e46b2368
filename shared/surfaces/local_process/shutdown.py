"""Stops all that runs below a state folder, for `runtimectl down` and for tests."""

import json
from pathlib import Path
from typing import Final

from shared.kernel.clock import Clock
from shared.surfaces.local_process import processes
from shared.surfaces.local_process.processes import Identity
from shared.surfaces.local_process.supervisor import SupervisorRunning, has_supervisor

GRACE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05


async def stop_everything(root: Path, clock: Clock) -> int:
    """Stop all workloads and Envoys below *root*; return how many there were.

    What is wanted stays written: the next supervisor starts it again. Also ends the starts that
    were under way.

    Raises:
        SupervisorRunning: it would start everything again at once; stop it first.
    """
    if has_supervisor(root):
        raise SupervisorRunning(f"stop the host first: it supervises {root.name}")
    _void_unclaimed(root)
    alive = [i for i in _claims(root) if processes.is_alive(i)]
    for identity in alive:
        processes.terminate(identity)
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
    found = [processes.read_claim(path) for path in root.glob("sites/*/**/claim-*")]
    return [identity for identity in found if identity is not None]


def _void_unclaimed(root: Path) -> None:
    for path in root.glob("sites/*/running/*.json"):
        instances = path.parent.parent / "instances" / path.stem
        try:
            known = json.loads(path.read_bytes())["instances"]
        except ValueError:
            # The claims still name what runs; only a start that has no claim yet stays unknown.
            continue
        for started in known:
            place = instances / started["id"]
            if place.exists():
                processes.void_claim(place / f"claim-{started['token']}")
    for path in root.glob("sites/*/edge/started"):
        processes.void_claim(path.parent / f"claim-{path.read_text(encoding='ascii')}")
