"""Stops every workload and Envoy below a state folder, for `runtimectl down` and for tests."""

import json
from pathlib import Path
from typing import Final

from local_agent import processes
from local_agent.plain_files import read_plain
from local_agent.processes import ProcessIdentity
from local_agent.supervisor import SupervisorRunning, has_supervisor
from shared.kernel.clock import Clock

GRACE_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.05


async def stop_everything(root: Path, clock: Clock) -> int:
    """Stop all workloads and Envoys below *root*, starts in progress included; return their number.

    The desired state stays on disk, so the next supervisor starts them again.

    Raises:
        SupervisorRunning: a supervisor would start them again at once; stop it first.
    """
    if has_supervisor(root):
        raise SupervisorRunning(f"stop the host first: it supervises {root.name}")
    _void_starts(root)
    stopping = live_processes(root)
    for identity in stopping:
        processes.terminate(identity)
    deadline_s = clock.monotonic_s() + GRACE_S
    alive = stopping
    while alive and clock.monotonic_s() < deadline_s:
        await clock.sleep(_POLL_INTERVAL_S)
        for identity in alive:
            processes.reap(identity.pid)
        alive = [identity for identity in alive if processes.is_alive(identity)]
    for identity in stopping:
        # Those that ignored SIGTERM, and the children that the others left in their sessions.
        processes.kill(identity)
        processes.reap(identity.pid)
    return len(stopping)


def live_processes(root: Path) -> list[ProcessIdentity]:
    """Return the workloads and Envoys below *root* that run, by their claims."""
    claims = (processes.read_claim(path) for path in root.glob("sites/*/**/claim-*"))
    return [identity for identity in claims if identity and processes.is_alive(identity)]


def _void_starts(root: Path) -> None:
    """Prevent the starts in progress, which have no claim yet, from becoming processes."""
    for path in root.glob("sites/*/running/*.json"):
        instances = path.parent.parent / "instances" / path.stem
        try:
            records = json.loads(read_plain(path))["instances"]
        except ValueError:
            # Running processes are known by their claims; only a start without one is missed.
            continue
        for record in records:
            folder = instances / record["id"]
            if folder.exists():
                processes.void_claim(processes.claim_file(folder, record["token"]))
    for path in root.glob("sites/*/edge/started"):
        token = read_plain(path).decode("ascii")
        processes.void_claim(processes.claim_file(path.parent, token))
