"""Stops the agent, every workload and Envoy of a state folder, for `runtimectl down` and tests."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_agent import process_trees, starts
from local_agent.agent_lock import LOCK, AgentRunning, has_agent, read_owner
from local_agent.memory_place import forget_state
from local_agent.process_identity import ProcessIdentity, is_alive, reap
from local_agent.starts import started_token
from local_agent.state_files import CorruptStateFile, InstanceRecord, SiteFolder, SurfaceFolder
from local_agent.wheel_installer import end_installers
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ServiceId

GRACE_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.05


async def stop_agent(state: Path, clock: Clock) -> int | None:
    """Stop the agent of the folder *state*; return its process id, None where none ran.

    Its workloads go on; installations that it had begun do not.

    Raises:
        Unavailable: it does not end.
    """
    stopped = None
    kill_at_s = clock.monotonic_s() + GRACE_S
    while has_agent(state):
        pid = read_owner(state)
        is_late = clock.monotonic_s() >= kill_at_s
        if pid is not None and (is_late or pid != stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
            stopped = pid
        if clock.monotonic_s() >= kill_at_s + GRACE_S:
            raise Unavailable(
                f"an agent holds {state / LOCK} and does not end: find it with `fuser`, and end it"
            )
        await clock.sleep(_POLL_INTERVAL_S)
    await asyncio.to_thread(end_installers, state / "surface" / "artifacts")
    return stopped


async def stop_everything(root: Path, clock: Clock) -> int:
    """Stop all workloads and Envoys below *root*, starts in progress included; return their number.

    The desired state stays on disk, so the next supervisor starts them again.

    Raises:
        AgentRunning: an agent would start them again at once; stop it first.
    """
    if has_agent(root.parent):
        raise AgentRunning(f"stop the agent first: it supervises {root.name}")
    _void_starts(root)
    started = _started_processes(root)
    stopping = [identity for identity in started if is_alive(identity)]
    await _end(stopping, clock)
    # Without namespaces, what a workload left in other sessions outlives its shim.
    await asyncio.to_thread(process_trees.kill_orphans, *started)
    await asyncio.to_thread(forget_state, root.parent)
    return len(stopping)


async def _end(stopping: Sequence[ProcessIdentity], clock: Clock) -> None:
    """Terminate *stopping*, and kill what still runs after the grace time."""
    for identity in stopping:
        process_trees.terminate(identity)
    deadline_s = clock.monotonic_s() + GRACE_S
    alive = stopping
    while alive and clock.monotonic_s() < deadline_s:
        await clock.sleep(_POLL_INTERVAL_S)
        for identity in alive:
            reap(identity.pid)
        alive = [identity for identity in alive if is_alive(identity)]
    for identity in stopping:
        # Those that ignored SIGTERM, and the children that the others left in their sessions.
        process_trees.kill(identity)
        reap(identity.pid)


def running_processes(root: Path) -> list[ProcessIdentity]:
    """Return the workloads and Envoys below *root* that run, by their claims."""
    return [identity for identity in _started_processes(root) if is_alive(identity)]


def _started_processes(root: Path) -> list[ProcessIdentity]:
    """Return the processes below *root* by their claims, also of those that ended."""
    # Where claims are, and nowhere else: below are folders that workloads fill as they like.
    places = ("sites/*/edge/claim-*", "sites/*/servers/*/claim-*", "sites/*/instances/*/*/claim-*")
    claims = (starts.read_claim(path) for place in places for path in root.glob(place))
    # Each once: a claim that is made just now has a draft beside it.
    return list(dict.fromkeys(identity for identity in claims if identity is not None))


def _void_starts(root: Path) -> None:
    """Prevent the starts in progress, which have no claim yet, from becoming processes."""
    for site in SurfaceFolder(root).sites():
        for service in site.services():
            for instance in _instances(site, service):
                folder = site.instances(service) / instance.id
                starts.void_claim(starts.claim_file(folder, instance.token))
        for folder in (site.edge, *site.path.glob("servers/*")):
            with suppress(OSError, ValueError):  # it is no token, or none that names a file
                if token := started_token(folder):
                    starts.void_claim(starts.claim_file(folder, token))


def _instances(site: SiteFolder, service: ServiceId) -> Sequence[InstanceRecord]:
    """Return the recorded instances of *service*; none where its documents are damaged.

    Running processes are known by their claims; of those only a start without one is missed.
    """
    try:
        desired = site.component(service)
        return () if desired is None else site.record(desired.component).instances
    except CorruptStateFile:
        return ()
