"""The host process of a state folder: find it, stop it.

The host outlives the command that starts it and logs to a file. It is identified by pid, start time
and boot, so `down` never stops another process that has its pid. Its record is written when it
answers; before that, or without `up`, it is known by the claim of its start and by its lock.
"""

import asyncio
import fcntl
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import StateFolder, read_json, write_private
from local_agent import process_trees, starts
from local_agent.agent_lock import has_agent, read_owner
from local_agent.launcher import TOKEN_VARIABLE
from local_agent.process_identity import (
    ProcessIdentity,
    boot,
    environ_of,
    is_alive,
    reap,
    start_ticks,
)
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import open_plain, read_plain

STOPPED_WITHIN_S: Final = 15.0
APPS_STOPPED_WITHIN_S: Final = 25.0
"""A front end waits for its calls, and then for its instances."""
_POLL_INTERVAL_S: Final = 0.05
_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 1 << 16


_PROCESSES: Final = "processesPerApp"
"""0: one host for all apps."""


@dataclass(frozen=True)
class HostProcess:
    identity: ProcessIdentity
    port: int
    url: str
    started_at: str

    @property
    def pid(self) -> int:
        return self.identity.pid


def find_host(folder: StateFolder) -> HostProcess | None:
    """Return the host that `up` has recorded in *folder*, if exactly that process is alive."""
    record = read_json(folder.host_file)
    if record is None:
        return None
    identity = ProcessIdentity(record["pid"], record["ticks"], record["boot"], record["token"])
    if not _is_alive(identity):
        return None
    return HostProcess(identity, record["port"], record["url"], record["startedAt"])


def find_process(folder: StateFolder) -> ProcessIdentity | None:
    """Return the process of the host of *folder*, also of one that starts or was never recorded."""
    host = find_host(folder)
    if host is not None:
        return host.identity
    claims = (starts.read_claim(claim) for claim in folder.private.glob("claim-*"))
    starting = next((each for each in claims if each is not None and _is_alive(each)), None)
    return starting or find_holder(folder.host_lock)


def _is_alive(identity: ProcessIdentity) -> bool:
    reap(identity.pid)
    return is_alive(identity)


def find_holder(lock: Path) -> ProcessIdentity | None:
    """Return the process that holds *lock* and has written its id there."""
    try:
        pid = int(read_plain(lock, at_most=32))
        ticks = start_ticks(pid)
        # A lock that nobody holds is not tried: a host that takes it just now would find it taken.
        if ticks is None or not _is_held(lock):
            return None
    except (OSError, ValueError):
        return None
    token = environ_of(pid).get(TOKEN_VARIABLE, "")
    return ProcessIdentity(pid, ticks, boot(), token)


def _is_held(lock: Path) -> bool:
    descriptor = open_plain(lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def last_port(folder: StateFolder) -> int | None:
    """Return the port of the last host of *folder*, running or not; None before the first."""
    record = read_json(folder.host_file)
    return None if record is None else int(record["port"])


def processes_per_app(folder: StateFolder) -> int | None:
    """Return how many processes of each app *folder* was last started with; None: never was.

    0 is one host for all apps.
    """
    # Earlier versions wrote it to the record of a host that had started.
    record = read_json(folder.kind_file) or read_json(folder.host_file)
    return None if record is None else int(record.get(_PROCESSES, 0))


def record_processes(folder: StateFolder, count: int) -> None:
    """Keep that *folder* is started with *count* processes of each app."""
    write_private(folder.kind_file, {_PROCESSES: count})


def refuse_unrecorded(folder: StateFolder) -> None:
    """Raise Failure where a host runs that no `up` has recorded."""
    if (unrecorded := find_process(folder)) is not None:
        raise Failure(
            f"a host runs here already, with pid {unrecorded.pid}, which no `up` saw to its end",
            ExitCode.CONFLICT,
            remedy="stop it first: `runtimectl down`",
        )


def stop_host(folder: StateFolder, clock: Clock) -> int | None:
    """Terminate the host, and kill it after a timeout; return its pid, None when none ran."""
    identity = find_process(folder)
    if identity is None:
        end_instances(folder)
        return None
    process_trees.terminate(identity)
    within_s = APPS_STOPPED_WITHIN_S if processes_per_app(folder) else STOPPED_WITHIN_S
    deadline_s = clock.monotonic_s() + within_s
    while _is_alive(identity) and clock.monotonic_s() < deadline_s:
        pause(clock, _POLL_INTERVAL_S)
    if _is_alive(identity):  # started by hand, it is not the first of its session
        kill(identity.pid)
    process_trees.kill(identity)
    end_instances(folder)
    reap(identity.pid)
    return identity.pid


def end_instances(folder: StateFolder) -> None:
    """Kill instances of the last front end that did not end with it, as one that hangs does not."""
    record = read_json(folder.host_file)
    if record is not None and processes_per_app(folder):
        process_trees.kill_by_token({record["token"]})


def kill_control_plane(folder: StateFolder, clock: Clock) -> None:
    """Kill the host and the agent as a crash of both does, and wait for their end.

    Raises:
        Failure: no host runs.
    """
    host = find_process(folder)
    if host is None:
        raise Failure("no host runs here", ExitCode.UNAVAILABLE, code="HostUnreachable")
    _kill_agent(folder)
    kill(host.pid)
    end_instances(folder)
    while _is_alive(host) or _kill_agent(folder):
        pause(clock, _POLL_INTERVAL_S)


def _kill_agent(folder: StateFolder) -> bool:
    """Kill the agent, if it has said already which process it is; return whether there is one."""
    if not has_agent(folder.path):
        return False
    if (pid := read_owner(folder.path)) is not None:
        kill(pid)
    return True


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stop_workloads(folder: StateFolder, clock: Clock) -> int:
    """Stop the agent, every workload and every proxy of *folder*; return the number of the last.

    Raises:
        Failure: the agent does not end.
    """
    from local_agent.shutdown import stop_agent, stop_everything  # noqa: PLC0415

    try:
        asyncio.run(stop_agent(folder.path, clock))
    except Unavailable as held:
        raise Failure(held.message, ExitCode.UNAVAILABLE) from held
    return asyncio.run(stop_everything(folder.surface, clock))


def pause(clock: Clock, seconds: float) -> None:
    """Sleep by *clock* in code that is not async."""
    asyncio.run(clock.sleep(seconds))


def log_size(path: Path) -> int:
    """Return the size of the log *path* in bytes, 0 without one."""
    return path.stat().st_size if path.is_file() else 0


def log_tail(path: Path, since: int) -> list[str]:
    """Return the last lines that were written to *path* after it had *since* bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # One that is shorter than it was has been cut, or begun again.
            file.seek(max(since if since <= size else 0, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-_TAIL_LINES:]
